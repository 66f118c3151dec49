/* The process of a container: command line, environment, user and folder. */
#include "init/plan_private.h"
#include "specs/docker_defaults.h"

static size_t vector_length(const char *const *items)
{
	size_t n = 0;

	while (items && items[n]) {
		n++;
	}
	return n;
}

static void add_args(const struct container_builder *b, const char *const *items)
{
	struct oci_process *process = &b->container->config.process;

	for (; items && *items; items++) {
		plan_strings_add(b->arena, &process->args, &process->arg_count, *items);
	}
}

/*
 * As the engine merges them: an entrypoint of the file drops the image's command; without one, or
 * with an empty one, an absent or empty command falls back to the image's.
 */
static void build_args(const struct container_builder *b)
{
	const struct plan_options *options = b->plan->options;
	const struct image_config *image = &b->image->config;
	const char *const *entrypoint = b->service->entrypoint.is_set
						? (const char *const *)b->service->entrypoint.items
						: (const char *const *)image->entrypoint;
	const char *const *command = (const char *const *)b->service->command.items;
	bool keeps_command = !b->service->entrypoint.is_set || b->service->entrypoint.count == 0;

	if (b->oneoff && options->oneoff_entrypoint) {
		entrypoint = options->oneoff_entrypoint;
		command = NULL;
		keeps_command = false;
	}
	if (b->oneoff && options->oneoff_args && *options->oneoff_args) {
		command = options->oneoff_args;
	}
	if (vector_length(command) == 0 && keeps_command) {
		command = (const char *const *)image->cmd;
	}
	add_args(b, entrypoint);
	add_args(b, command);
	if (b->container->config.process.arg_count == 0) {
		plan_fail(b, &b->service->image_mark, "command",
			"no command: neither the file nor the image \"%s\" names one",
			b->container->image);
	}
}

static const char *first_of(const char *a, const char *b, const char *c, const char *fallback)
{
	if (a && *a) {
		return a;
	}
	if (b && *b) {
		return b;
	}
	return c && *c ? c : fallback;
}

static void add_groups(const struct container_builder *b)
{
	const struct compose_strings *groups = &b->service->group_add;
	gid_t *gids = arena_array(b->arena, groups->count, sizeof(*gids));
	size_t count = 0;

	for (size_t i = 0; i < groups->count; i++) {
		char *end;
		unsigned long gid = strtoul(groups->items[i], &end, 10);

		if (*end || end == groups->items[i] || gid >= UINT32_MAX) {
			plan_fail(b, NULL, "group_add",
				"\"%s\": only numbers are supported, not group names",
				groups->items[i]);
			continue;
		}
		gids[count++] = (gid_t)gid;
	}
	b->container->extra_gids = gids;
	b->container->extra_gid_count = count;
}

void plan_build_process(const struct container_builder *b)
{
	const struct plan_options *options = b->plan->options;
	const struct compose_service *service = b->service;
	struct plan_container *container = b->container;
	struct oci_process *process = &container->config.process;
	const char *cwd = first_of(b->oneoff ? options->oneoff_cwd : NULL, service->working_dir,
		b->image->config.working_dir, "/");

	container->config.version = "1.2.0";
	build_args(b);
	/* Root by number: an image without /etc/passwd has no name for it. */
	container->user =
		arena_strdup(b->arena, first_of(b->oneoff ? options->oneoff_user : NULL,
					       service->user, b->image->config.user, "0"));
	add_groups(b);
	process->cwd = arena_printf(b->arena, "%s%s", *cwd == '/' ? "" : "/", cwd);
	process->terminal = b->oneoff ? options->oneoff_tty : service->tty;
	container->stdin_open = service->stdin_open;
	container->init = service->init == YES;
	container->privileged = service->privileged;
	container->config.hostname = arena_strdup(b->arena, service->hostname);
	container->config.domainname = arena_strdup(b->arena, service->domainname);
	container->config.root_readonly = service->read_only;
	if (service->resources.oom_score_adj != INT64_MIN) {
		process->has_oom_score_adj = true;
		process->oom_score_adj = (int)service->resources.oom_score_adj;
	}
}

/* Sets "KEY=VALUE", in place if the key is there; a NULL value removes the key. */
static void env_set(
	const struct container_builder *b, const char *key, size_t length, const char *value)
{
	struct oci_process *process = &b->container->config.process;
	char *text = value ? arena_printf(b->arena, "%.*s=%s", (int)length, key, value) : NULL;

	for (size_t i = 0; i < process->env_count; i++) {
		if (strncmp(process->env[i], key, length) != 0 || process->env[i][length] != '=') {
			continue;
		}
		if (text) {
			process->env[i] = text;
			return;
		}
		/* Removed: the vector is made anew, since growth goes by its count. */
		const char **old = process->env;
		size_t count = process->env_count;

		process->env = NULL;
		process->env_count = 0;
		for (size_t j = 0; j < count; j++) {
			if (j != i) {
				plan_strings_add(
					b->arena, &process->env, &process->env_count, old[j]);
			}
		}
		return;
	}
	if (text) {
		plan_strings_add(b->arena, &process->env, &process->env_count, text);
	}
}

static void env_add(const struct container_builder *b, const char *const *items)
{
	for (; items && *items; items++) {
		const char *equals = strchr(*items, '=');

		if (equals && equals != *items) {
			env_set(b, *items, (size_t)(equals - *items), equals + 1);
		}
	}
}

void plan_build_environment(const struct container_builder *b)
{
	const struct compose_pairs *pairs = &b->service->environment;

	env_set(b, "PATH", strlen("PATH"), DOCKER_DEFAULT_PATH);
	if (b->container->config.process.terminal) {
		env_set(b, "TERM", strlen("TERM"), "xterm");
	}
	env_add(b, (const char *const *)b->image->config.env);
	for (size_t i = 0; i < pairs->count; i++) {
		env_set(b, pairs->items[i].key, strlen(pairs->items[i].key), pairs->items[i].value);
	}
	if (b->oneoff) {
		env_add(b, b->plan->options->oneoff_env);
	}
}
