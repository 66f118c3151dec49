/* Compose files from text to model, and back to text. Each test has a folder of its own. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "specs/compose.h"

struct fixture {
	char folder[64], back[4096];
	struct compose_options options;
	struct compose_project *project;
	struct diagnostics d;
	struct error err;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	static const char *const environment[] = { "HOME=/home/u", "OUT=side", NULL };
	struct fixture *f = xcalloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/tmp/wherry-compose-XXXXXX");
	assert_non_null(getcwd(f->back, sizeof(f->back)));
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(chdir(f->folder), 0);
	f->options.environment = environment;
	f->options.project_name = "p";
	*state = f;
	return 0;
}

static void unload(struct fixture *f)
{
	compose_free(f->project);
	f->project = NULL;
	diagnostics_finish(&f->d);
	f->err = (struct error)ERROR_INIT;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unload(f);
	assert_int_equal(chdir(f->back), 0);
	nftw(f->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void put(const char *path, const char *text)
{
	assert_int_equal(
		file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false, NULL), 0);
}

static int load(struct fixture *f)
{
	unload(f);
	return compose_load(&f->options, &f->project, &f->d, &f->err);
}

static struct compose_service *load_service(struct fixture *f, const char *service_text)
{
	struct str text = { 0 };

	str_addf(&text, "services:\n  s: {image: i, %s}\n", service_text);
	str_add(&text, "  db: {image: i}\n");
	put("compose.yaml", str_text(&text));
	str_finish(&text);
	if (load(f) < 0) {
		diagnostics_print(&f->d, stderr);
		fail_msg("did not load: %s", service_text);
	}
	return compose_find_service(f->project, "s");
}

static const struct diagnostic *find(const struct fixture *f, const char *text)
{
	for (size_t i = 0; i < f->d.count; i++) {
		if (strstr(f->d.items[i].text, text)) {
			return &f->d.items[i];
		}
	}
	return NULL;
}

static const char *value_of(const struct compose_pairs *pairs, const char *key)
{
	for (size_t i = 0; i < pairs->count; i++) {
		if (strcmp(pairs->items[i].key, key) == 0) {
			return pairs->items[i].value ? pairs->items[i].value : "(removed)";
		}
	}
	return "(absent)";
}

static void commands_are_split_as_a_shell_would(void **state)
{
	struct compose_service *s =
		load_service(*state, "command: \"a 'b c' \\\"d e\\\" f\\\\ g\", entrypoint: []");

	assert_int_equal(s->command.count, 4);
	assert_string_equal(s->command.items[1], "b c");
	assert_string_equal(s->command.items[2], "d e");
	assert_string_equal(s->command.items[3], "f g");
	assert_null(s->command.items[4]);
	assert_true(s->entrypoint.is_set);
	assert_int_equal(s->entrypoint.count, 0);
}

static void a_shell_operator_is_dropped_with_a_warning(void **state)
{
	struct fixture *f = *state;
	struct compose_service *s = load_service(f, "command: echo a && b");

	assert_int_equal(s->command.count, 2);
	assert_non_null(find(f, "not run by a shell"));
}

static void ports_have_all_their_forms(void **state)
{
	static const struct {
		const char *text, *ip, *protocol;
		unsigned first, last, target;
		size_t count;
	} rows[] = {
		{ "\"80\"", NULL, "tcp", 0, 0, 80, 1 },
		{ "80", NULL, "tcp", 0, 0, 80, 1 },
		{ "\"8080:80\"", NULL, "tcp", 8080, 8080, 80, 1 },
		{ "\"127.0.0.1:8080:80/udp\"", "127.0.0.1", "udp", 8080, 8080, 80, 1 },
		{ "\"[::1]:8080:80\"", "::1", "tcp", 8080, 8080, 80, 1 },
		{ "\"127.0.0.1::80\"", "127.0.0.1", "tcp", 0, 0, 80, 1 },
		{ "\"8000-8002:90-92\"", NULL, "tcp", 8000, 8000, 90, 3 },
		{ "\"8000-8010:80\"", NULL, "tcp", 8000, 8010, 80, 1 },
		{ "{target: 80, published: \"5-6\"}", NULL, "tcp", 5, 6, 80, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text = xasprintf("ports: [%s]", rows[i].text);
		struct compose_service *s = load_service(*state, text);

		assert_int_equal(s->port_count, rows[i].count);
		assert_int_equal(s->ports[0].published_first, rows[i].first);
		assert_int_equal(s->ports[0].published_last, rows[i].last);
		assert_int_equal(s->ports[0].target, rows[i].target);
		assert_string_equal(s->ports[0].protocol, rows[i].protocol);
		if (rows[i].ip) {
			assert_string_equal(s->ports[0].host_ip, rows[i].ip);
		} else {
			assert_null(s->ports[0].host_ip);
		}
	}
}

static void mounts_have_all_their_forms(void **state)
{
	struct fixture *f = *state;
	struct compose_mount *m;
	struct compose_service *s;

	put("compose.yaml",
		"services:\n"
		"  s:\n"
		"    image: i\n"
		"    volumes: [./a/../b:/a:ro, v:/v/:nocopy, /anon, ~/h:/h,\n"
		"      {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}},\n"
		"      {type: bind, source: x, target: /x, bind: {create_host_path: false}}]\n"
		"    tmpfs: [/run, '/tmp:size=5m,mode=755']\n"
		"volumes: {v: }\n");
	assert_int_equal(load(f), 0);
	s = compose_find_service(f->project, "s");
	assert_int_equal(s->mount_count, 8);
	m = s->mounts;
	assert_int_equal(m[0].type, COMPOSE_MOUNT_BIND);
	assert_string_equal(m[0].source + strlen(f->project->directory), "/b");
	assert_true(m[0].read_only && m[0].create_host_path);
	assert_string_equal(m[1].source, "v");
	assert_string_equal(m[1].target, "/v");
	assert_true(m[1].nocopy);
	assert_null(m[2].source);
	assert_string_equal(m[3].source, "/home/u/h");
	assert_int_equal(m[4].tmpfs_size, 1048576);
	assert_int_equal(m[4].tmpfs_mode, 0700);
	assert_false(m[5].create_host_path);
	assert_string_equal(m[7].target, "/tmp");
	assert_string_equal(m[7].tmpfs_options, "size=5m,mode=755");
	assert_string_equal(f->project->volumes[0].name, "p_v");
	assert_true(f->project->volumes[0].used);
}

static void the_environment_is_resolved_in_docker_s_order(void **state)
{
	struct fixture *f = *state;
	struct compose_service *s;

	put("one.env", "A=1\nB=one\nGONE=x\n");
	put("two.env", "B=two ${OUT} ${OWN}\n");
	s = load_service(f, "env_file: [one.env, {path: two.env}, {path: no.env, required: false}],"
			    " environment: [OWN=mine, OUT, GONE, C=, 'D=a=b']");
	assert_string_equal(value_of(&s->environment, "A"), "1");
	assert_string_equal(value_of(&s->environment, "B"), "two side mine");
	assert_string_equal(value_of(&s->environment, "OUT"), "side");
	assert_string_equal(value_of(&s->environment, "GONE"), "(removed)");
	assert_string_equal(value_of(&s->environment, "C"), "");
	assert_string_equal(value_of(&s->environment, "D"), "a=b");
}

static void numbers_and_booleans_become_environment_text(void **state)
{
	struct compose_service *s = load_service(
		*state, "environment: {A: 1.50, B: true, C: 010, D: 1e3, E: yes, F: 22:22}");

	assert_string_equal(value_of(&s->environment, "A"), "1.5");
	assert_string_equal(value_of(&s->environment, "B"), "true");
	assert_string_equal(value_of(&s->environment, "C"), "8");
	assert_string_equal(value_of(&s->environment, "D"), "1000");
	assert_string_equal(value_of(&s->environment, "E"), "yes");
	assert_string_equal(value_of(&s->environment, "F"), "22:22");
}

static void limits_come_from_either_place(void **state)
{
	struct compose_service *s = load_service(*state,
		"mem_limit: 64m, deploy: {replicas: 3, resources: {limits: {memory: 64m, cpus: "
		"'0.5', pids: 7}}, restart_policy: {condition: on-failure, max_attempts: 4}}, "
		"ulimits: {nofile: 5, nproc: {soft: 1, hard: -1}}");

	assert_int_equal(s->resources.memory_limit, 64 << 20);
	assert_true(s->resources.cpus > 0.49 && s->resources.cpus < 0.51);
	assert_int_equal(s->resources.pids_limit, 7);
	assert_int_equal(s->scale, 3);
	assert_int_equal(s->restart, COMPOSE_RESTART_ON_FAILURE);
	assert_int_equal(s->restart_max, 4);
	assert_int_equal(s->ulimits[0].hard, 5);
	assert_int_equal(s->ulimits[1].hard, -1);
}

static void health_checks_keep_what_is_not_given_apart(void **state)
{
	struct compose_service *s = load_service(
		*state, "healthcheck: {test: curl x, interval: 1m30s, start_period: 5s}");

	assert_string_equal(s->healthcheck.test.items[0], "CMD-SHELL");
	assert_int_equal(s->healthcheck.interval_us, 90000000);
	assert_int_equal(s->healthcheck.timeout_us, -1);
	assert_int_equal(s->healthcheck.retries, -1);
	s = load_service(*state, "healthcheck: {test: [NONE]}");
	assert_true(s->healthcheck.disable);
	s = load_service(*state, "command: x");
	assert_false(s->healthcheck.is_set);
}

static void dependencies_have_conditions(void **state)
{
	struct compose_service *s = load_service(
		*state, "depends_on: {db: {condition: service_healthy, restart: true}}");

	assert_int_equal(s->depends_on[0].condition, COMPOSE_HEALTHY);
	assert_true(s->depends_on[0].restart && s->depends_on[0].required);
	s = load_service(*state, "depends_on: [db]");
	assert_int_equal(s->depends_on[0].condition, COMPOSE_STARTED);
	s = load_service(*state, "network_mode: 'service:db'");
	assert_string_equal(s->depends_on[0].service, "db");
	assert_int_equal(s->network_count, 0);
}

static void eager_health_is_the_project_s_or_the_service_s(void **state)
{
	struct fixture *f = *state;

	put("compose.yaml",
		"x-wherry: {eager_health: false}\n"
		"services: {a: {image: i, x-wherry: {eager_health: true}}, b: {image: i}}\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->project->eager_health, NO);
	assert_int_equal(compose_find_service(f->project, "a")->eager_health, YES);
	assert_int_equal(compose_find_service(f->project, "b")->eager_health, UNSET);
}

static void profiles_choose_services(void **state)
{
	static const char *const debug[] = { "debug", NULL }, *const every[] = { "*", NULL };
	static const char *const named[] = { "job", NULL };
	struct fixture *f = *state;

	put("compose.yaml", "services:\n"
			    "  web: {image: i}\n"
			    "  tool: {image: i, profiles: [debug]}\n"
			    "  job: {image: i, profiles: [jobs], depends_on: [help]}\n"
			    "  help: {image: i, profiles: [jobs]}\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->project->service_count, 1);
	assert_int_equal(f->project->disabled_count, 3);
	f->options.profiles = debug;
	assert_int_equal(load(f), 0);
	assert_int_equal(f->project->service_count, 2);
	f->options.profiles = every;
	assert_int_equal(load(f), 0);
	assert_int_equal(f->project->service_count, 4);
	f->options.profiles = NULL;
	f->options.services = named;
	assert_int_equal(load(f), 0);
	assert_non_null(compose_find_service(f->project, "job"));
	assert_non_null(compose_find_service(f->project, "help"));
	assert_null(compose_find_service(f->project, "tool"));
}

static void files_are_found_and_overrides_join(void **state)
{
	struct fixture *f = *state;
	static const char *const one[] = { "docker-compose.yml", NULL };

	put("docker-compose.yml", "services: {a: {image: base, command: x}}\n");
	put("docker-compose.override.yml", "services: {a: {image: over}}\n");
	put(".env", "COMPOSE_PROFILES=q\nT=9\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->project->files.count, 2);
	assert_string_equal(compose_find_service(f->project, "a")->image, "over");
	/* From a folder below, the same; the project's folder stays where the file is. */
	assert_int_equal(file_mkdir_p("deep/er", 0755, NULL), 0);
	assert_int_equal(chdir("deep/er"), 0);
	assert_int_equal(load(f), 0);
	assert_null(strstr(f->project->directory, "deep"));
	assert_int_equal(chdir(f->folder), 0);
	f->options.files = one;
	assert_int_equal(load(f), 0);
	assert_string_equal(compose_find_service(f->project, "a")->image, "base");
}

static void no_file_is_docker_s_error(void **state)
{
	struct fixture *f = *state;
	static const char *const gone[] = { "gone.yaml", NULL };

	assert_int_equal(load(f), -ENOENT);
	assert_string_equal(f->err.message, "no configuration file provided: not found");
	f->options.files = gone;
	assert_int_equal(load(f), -ENOENT);
	assert_non_null(strstr(f->err.message, "gone.yaml"));
}

static void the_name_comes_from_the_nearest_source(void **state)
{
	static const char *const environment[] = { "COMPOSE_PROJECT_NAME=fromenv", NULL };
	struct fixture *f = *state;
	char *name = NULL;

	put("compose.yaml",
		"name: file-${X:-x}\nservices: {a: {image: \"$COMPOSE_PROJECT_NAME\"}}\n");
	f->options.project_name = NULL;
	assert_int_equal(load(f), 0);
	assert_string_equal(f->project->name, "file-x");
	assert_string_equal(compose_find_service(f->project, "a")->image, "file-x");
	f->options.environment = environment;
	assert_int_equal(load(f), 0);
	assert_string_equal(f->project->name, "fromenv");
	f->options.project_name = "given";
	assert_int_equal(load(f), 0);
	assert_string_equal(f->project->name, "given");
	assert_int_equal(compose_project_name(&f->options, &name, &f->err), 0);
	assert_string_equal(name, "given");
	free(name);
	put("compose.yaml", "services: {a: {image: i}}\nname: Bad.Name\n");
	f->options.project_name = NULL;
	f->options.environment = environment + 1;
	assert_int_equal(load(f), -EINVAL);
	assert_non_null(find(f, "invalid project name \"Bad.Name\""));
	assert_int_equal(f->d.items[0].mark.line, 2);
	f->options.project_name = "Foo.Bar";
	assert_int_equal(load(f), -EINVAL);
	assert_non_null(strstr(f->err.message, "invalid project name \"Foo.Bar\": must consist"));
}

static void a_folder_s_name_is_made_to_fit(void **state)
{
	struct fixture *f = *state;
	char *name = NULL;

	assert_int_equal(file_mkdir_p("_My App_1.x", 0755, NULL), 0);
	assert_int_equal(chdir("_My App_1.x"), 0);
	put("compose.yaml", "services: {a: {image: i}}\n");
	f->options.project_name = NULL;
	assert_int_equal(compose_project_name(&f->options, &name, &f->err), 0);
	assert_string_equal(name, "myapp_1x");
	free(name);
}

static void env_files_lose_against_the_environment(void **state)
{
	static const char *const files[] = { "a.env", "b.env", NULL };
	struct fixture *f = *state;

	put("a.env", "T=1\nU=1\nOUT=file\n");
	put("b.env", "T=2\n");
	put(".env", "U=dot\n");
	put("compose.yaml", "services: {a: {image: \"i:$T-$U-$OUT\"}}\n");
	f->options.env_files = files;
	assert_int_equal(load(f), 0);
	assert_string_equal(compose_find_service(f->project, "a")->image, "i:2-1-side");
}

static void files_merge_by_the_rules(void **state)
{
	static const char *const files[] = { "a.yaml", "b.yaml", NULL };
	struct fixture *f = *state;
	struct compose_service *s;

	put("a.yaml", "services:\n"
		      "  s: {image: i, command: [a], ports: ['8080:80'], environment: [A=1, B=1],\n"
		      "    volumes: ['x:/d'], cap_add: [KILL], labels: {a: b}, dns: 1.1.1.1,\n"
		      "    healthcheck: {test: [CMD, a], retries: 2}, hostname: h, expose: [1],\n"
		      "    logging: {driver: d1, options: {o: 1}}, tmpfs: /t}\n"
		      "volumes: {x: , y: }\n");
	put("b.yaml",
		"services:\n"
		"  s: {command: [b], ports: ['8081:80', '8080:80'], environment: {B: 2, C: 3},\n"
		"    volumes: ['y:/d'], cap_add: [KILL, CHOWN], labels: [c=d], dns: [1.1.1.1, "
		"8.8.8.8],\n"
		"    healthcheck: {test: [CMD, b]}, hostname: !reset x, expose: !override [2],\n"
		"    logging: {driver: d2, options: {p: 1}}}\n");
	f->options.files = files;
	assert_int_equal(load(f), 0);
	s = compose_find_service(f->project, "s");
	assert_string_equal(s->command.items[0], "b");
	assert_int_equal(s->command.count, 1);
	assert_int_equal(s->port_count, 2);
	assert_string_equal(value_of(&s->environment, "A"), "1");
	assert_string_equal(value_of(&s->environment, "B"), "2");
	assert_string_equal(value_of(&s->environment, "C"), "3");
	assert_int_equal(s->mount_count, 2);
	assert_string_equal(s->mounts[0].source, "y");
	assert_int_equal(s->cap_add.count, 2);
	assert_int_equal(s->labels.count, 2);
	assert_int_equal(s->dns.count, 2);
	assert_string_equal(s->healthcheck.test.items[1], "b");
	assert_int_equal(s->healthcheck.retries, 2);
	assert_null(s->hostname);
	assert_int_equal(s->expose.count, 1);
	assert_string_equal(s->expose.items[0], "2");
	assert_int_equal(s->logging.options.count, 1);
	assert_string_equal(s->logging.driver, "d2");
}

static void the_default_network_is_there_only_if_used(void **state)
{
	struct fixture *f = *state;

	put("compose.yaml",
		"services: {a: {image: i}, b: {image: i, networks: {n: {aliases: [x]}}}}\n"
		"networks: {n: {internal: true}, e: {external: true}}\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->project->network_count, 3);
	assert_string_equal(compose_find_service(f->project, "a")->networks[0].name, "default");
	assert_string_equal(
		compose_find_service(f->project, "b")->networks[0].aliases.items[0], "x");
	put("compose.yaml", "services: {a: {image: i, network_mode: host}}\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->project->network_count, 0);
}

/* The worked example: what docker compose prints for this file. */
static void the_canonical_form_is_docker_s(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *text = NULL, *json = NULL;

	put("compose.yaml",
		"services:\n"
		"  web: {image: 'nginx:${TAG:-1}', command: echo \"$$HOME\", ports: "
		"['127.0.0.1:8080:80'],\n"
		"    environment: {A: 1, B: , C: x$$y, D: 'yes', E: 'a: b'}, depends_on: [db],\n"
		"    deploy: {resources: {limits: {cpus: '0.5', memory: 1G}}}}\n"
		"  db: {image: pg}\n");
	assert_int_equal(load(f), 0);
	text = compose_print(f->project, "yaml");
	assert_string_equal(text, "name: p\n"
				  "services:\n"
				  "  db:\n"
				  "    image: pg\n"
				  "    networks:\n"
				  "      default: null\n"
				  "  web:\n"
				  "    command:\n"
				  "      - echo\n"
				  "      - $$HOME\n"
				  "    depends_on:\n"
				  "      db:\n"
				  "        condition: service_started\n"
				  "        required: true\n"
				  "    deploy:\n"
				  "      resources:\n"
				  "        limits:\n"
				  "          cpus: 0.5\n"
				  "          memory: \"1073741824\"\n"
				  "    environment:\n"
				  "      A: \"1\"\n"
				  "      B: null\n"
				  "      C: x$$y\n"
				  "      D: \"yes\"\n"
				  "      E: \"a: b\"\n"
				  "    image: nginx:1\n"
				  "    networks:\n"
				  "      default: null\n"
				  "    ports:\n"
				  "      - host_ip: 127.0.0.1\n"
				  "        mode: ingress\n"
				  "        protocol: tcp\n"
				  "        published: \"8080\"\n"
				  "        target: 80\n"
				  "networks:\n"
				  "  default:\n"
				  "    name: p_default\n");
	json = compose_print(f->project, "json");
	assert_non_null(strstr(json, "\"entrypoint\": null"));
	assert_non_null(strstr(json, "\"placement\": {}"));
}

static void printing_what_was_printed_changes_nothing(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *once = NULL, *twice = NULL;

	put("compose.yaml",
		"x-top: {a: [1, {b: c}]}\n"
		"services:\n"
		"  a: {image: i, command: 'a \"b c\" $$x', ports: ['1-2:3-4', '5-9:6'], tmpfs: "
		"/t,\n"
		"    volumes: ['v:/v', './x:/x:ro', /anon], ulimits: {nofile: 5, nproc: {soft: 1, "
		"hard: 2}},\n"
		"    environment: {E: \"multi\\nline\\ttab \\\\ \\u00e9\", N: , O: '0x10', P: "
		"''},\n"
		"    labels: [l], stop_grace_period: 90s, mem_limit: 1.5g, extra_hosts: "
		"['h:1.2.3.4'],\n"
		"    secrets: [{source: s, mode: 0400}], x-y: z, devices: ['/dev/null']}\n"
		"volumes: {v: {external: true}}\n"
		"secrets: {s: {file: ./s}}\n");
	assert_int_equal(load(f), 0);
	once = compose_print(f->project, "yaml");
	put("compose.yaml", once);
	assert_int_equal(load(f), 0);
	twice = compose_print(f->project, "yaml");
	assert_string_equal(once, twice);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(commands_are_split_as_a_shell_would),
		T(a_shell_operator_is_dropped_with_a_warning),
		T(ports_have_all_their_forms),
		T(mounts_have_all_their_forms),
		T(the_environment_is_resolved_in_docker_s_order),
		T(numbers_and_booleans_become_environment_text),
		T(limits_come_from_either_place),
		T(health_checks_keep_what_is_not_given_apart),
		T(dependencies_have_conditions),
		T(eager_health_is_the_project_s_or_the_service_s),
		T(profiles_choose_services),
		T(files_are_found_and_overrides_join),
		T(no_file_is_docker_s_error),
		T(the_name_comes_from_the_nearest_source),
		T(a_folder_s_name_is_made_to_fit),
		T(env_files_lose_against_the_environment),
		T(files_merge_by_the_rules),
		T(the_default_network_is_there_only_if_used),
		T(the_canonical_form_is_docker_s),
		T(printing_what_was_printed_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
