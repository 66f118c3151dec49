#include "rootfs-tools/image/build.h"

#include <errno.h>
#include <pthread.h>

#include "base/fd.h"
#include "base/sys.h"
#include "rootfs-tools/image/files.h"

/* The files' tar is written by a thread into a pipe whose other end is unpacked as any layer. */
struct files_job {
	const struct strv *files;
	int lower, output;
	struct error error;
	int result;
};

static void *write_files(void *argument)
{
	struct files_job *job = argument;

	job->result = files_write(job->files, job->lower, job->output, &job->error);
	fd_close(&job->output);
	return NULL;
}

static int add_files(struct repository *repository, const struct strv *files, struct layer *layer,
	struct error *err)
{
	_cleanup_fd_ int lower = sys_openat(repository->work, "root/fs", O_RDONLY | O_DIRECTORY, 0);
	struct files_job job = { .files = files, .lower = lower };
	struct error e = ERROR_INIT;
	_cleanup_fd_ int input = -EBADF;
	pthread_t thread;
	int pipe[2], r;

	if (lower < 0) {
		return error_set(err, lower, "open the root layer");
	}
	r = sys_pipe2(pipe, 0);
	if (r < 0) {
		return error_set(err, r, "make a pipe");
	}
	input = pipe[0];
	job.output = pipe[1];
	r = pthread_create(&thread, NULL, write_files, &job);
	if (r != 0) {
		fd_close(&job.output);
		return error_set(err, r, "start a thread");
	}
	r = layer_unpack(input, repository->work, "files", NULL, layer, &e);
	/* If unpacking stopped early this ends the writer (SIGPIPE is ignored). */
	fd_close(&input);
	pthread_join(thread, NULL);
	/* Its own complaint is the cause, unless it only saw the pipe break. */
	if (job.result < 0 && job.result != -EPIPE) {
		return error_say(err, job.result, "%s", job.error.message);
	}
	return r < 0 ? error_say(err, r, "%s", e.message) : 0;
}

int build_image(struct repository *repository, int input, const char *name,
	const struct config_options *options, build_check_fn *check, void *check_owner,
	char id[DIGEST_SIZE], struct error *err)
{
	struct arena arena = { 0 };
	struct image_config config;
	struct layer layers[2];
	size_t layer_count = 1;
	int r = config_options_apply(options, &arena, &config, err), checked;

	if (r == 0) {
		r = files_check(&options->files, err);
	}
	if (r == 0) {
		struct error e = ERROR_INIT;

		r = layer_unpack(input, repository->work, "root", NULL, &layers[0], &e);
		/* A writer that failed explains a tar that is cut off better than the tar does. */
		checked = check ? check(check_owner, err) : 0;
		if (checked < 0) {
			r = checked;
		} else if (r < 0) {
			error_say(err, r, "%s", e.message);
		}
	}
	if (r == 0 && options->files.count > 0) {
		r = add_files(repository, &options->files, &layers[layer_count++], err);
	}
	if (r == 0) {
		r = repository_commit(repository, name, layers, layer_count, &config, id, err);
	}
	arena_finish(&arena);
	return r;
}
