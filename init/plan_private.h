/* Shared by the files of the plan (init/plan*.c) alone. */
#ifndef WHERRY_INIT_PLAN_PRIVATE_H
#define WHERRY_INIT_PLAN_PRIVATE_H

#include "base/hash.h"
#include "init/plan.h"
#include "rootfs-tools/store.h"

/* An empty container with every "not asked for" value in place. */
struct plan_container *plan_container_new(void);
/* Fills `hash` from everything else. */
void plan_container_hash(struct plan_container *container);

/* What the building of one plan shares. */
struct plan_builder {
	const struct compose_project *project;
	const struct plan_options *options;
	struct plan *plan;
	struct strv *warnings;
	struct diagnostics *diagnostics;
	struct strv masked; /* docker's masked paths on this machine */
	uint64_t our_caps; /* our own bounding set: nobody can be given more */
};

/* What the building of one container shares. */
struct container_builder {
	struct plan_builder *plan;
	const struct compose_service *service;
	const struct store_image *image;
	struct plan_container *container;
	struct arena *arena; /* the container's */
	bool oneoff;
};

/* "file:line:column: services.NAME.KEY: TEXT", once for each text. @mark NULL: the service's. */
void plan_warn(const struct container_builder *b, const struct mark *mark, const char *key,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same as an error. */
void plan_fail(const struct container_builder *b, const struct mark *mark, const char *key,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* "file:line:column", or NULL without a place. */
const char *plan_where(struct arena *arena, const struct mark *mark);

/* Vectors that grow in an arena (what they grew out of stays there) and end with NULL. */
void plan_strings_add(struct arena *arena, const char ***items, size_t *count, const char *text);

/* One part of a container each; findings go to the warnings and diagnostics. */
void plan_build_process(const struct container_builder *b); /* plan_process.c */
void plan_build_environment(const struct container_builder *b); /* plan_process.c */
void plan_build_security(const struct container_builder *b); /* plan_security.c */
void plan_build_limits(const struct container_builder *b); /* plan_limits.c */
void plan_clamp_rlimits(const struct container_builder *b); /* plan_limits.c; after the hash */
void plan_build_mounts(const struct container_builder *b); /* plan_mounts.c */
void plan_build_network(const struct container_builder *b); /* plan_service.c */
void plan_build_policy(const struct container_builder *b); /* plan_service.c */
void plan_build_health(const struct container_builder *b); /* plan_service.c */
void plan_build_logging(const struct container_builder *b); /* plan_service.c */
void plan_build_labels(const struct container_builder *b); /* plan_service.c; after the hash */
void plan_build_refusals(const struct container_builder *b); /* plan_service.c */

/* linux.seccomp from a profile in docker's form (also the OCI form) for a bounding set. New
 * reference, or NULL with @err filled. */
json_t *plan_seccomp_profile(const json_t *profile, uint64_t bounding, struct error *err);

#endif
