/*
 * The supervisor of one project: the shell around the state machine. Shared by the files of
 * init/ alone.
 *
 * Theory of operation. One thread, one epoll loop. Kernel facts (a pidfd, a pipe, a request, a
 * timer) become machine events in a queue; supervisor_settle() feeds them to the machine, commits
 * every state that changed to the shared table, then carries out the actions, until nothing is
 * left to do. Starts are collected and carried out together, so that the packet rules
 * are replaced once for all of them. After that the requests under way look at the units and
 * answer their clients.
 *
 * Whatever a later supervisor needs is in the table (table.h), in `units/<id>.json` (what a
 * container is; written once) or in `project.json` (networks, volumes, names).
 */
#ifndef WHERRY_INIT_SUPERVISOR_H
#define WHERRY_INIT_SUPERVISOR_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/loop.h"
#include "base/mem.h"
#include "init/guardian.h"
#include "init/journal.h"
#include "init/machine.h"
#include "init/plan.h"
#include "init/table.h"
#include "net/net.h"
#include "net/resolver.h"
#include "runtime/cgroup.h"
#include "runtime/container.h"

#define HEALTH_LOG_MAX    5
#define HEALTH_OUTPUT_MAX 4096
#define UNIT_ID_SHORT     12

struct supervisor;
struct connection;
struct session;

struct health_result {
	int exit_code;
	int64_t start_ns, end_ns; /* wall */
	char *output;
};

/* One container. */
struct unit {
	struct supervisor *s;
	uint32_t index; /* slot in the table, number in the machine */
	struct slot slot; /* working copy; unit_commit() */
	struct unit_state committed; /* what the table holds */
	struct plan_container *plan;
	struct watcher exit_watch, status_watch, console_watch;
	struct stream {
		struct watcher watch;
		bool pending; /* there may be something to log */
		struct carry carry;
	} streams[2]; /* stdout, stderr */
	struct logwriter log;
	char *log_path;
	struct resolver_client *resolver;
	struct session *probe; /* the health check in flight */
	struct health_result *health_log; /* HEALTH_LOG_MAX of them or NULL; newest last */
	size_t health_count;
	char *error; /* why it could not start, or NULL */
	int error_status; /* exit status of that error */
	struct timer signal_timer; /* waits until the payload can take the signal */
	int signal_waiting;
	int64_t signal_delay_us;
	struct timer status_timer; /* an adopted process ended; its status is on the way */
	int stdio[3]; /* of a `run`: the client's own descriptors; else -EBADF */
};

/* A network of the project, as made. */
struct network {
	char *name, *key;
	char bridge[IFNAMSIZ];
	struct net_ipv4 subnet, gateway;
	bool internal;
	bool fixed; /* the subnet was asked for */
	json_t *labels;
};

struct volume {
	char *name;
	bool external, anonymous;
};

struct supervisor {
	struct guardian_link *link;
	struct loop *loop;
	struct table table;
	struct journal journal;
	const char *state_dir;
	struct cgroup_layout cgroups;
	struct net *net;
	struct resolver *resolver;

	struct unit **units; /* by slot; NULL: free */
	size_t unit_room;
	struct machine machine;
	struct unit_dependency *dependencies;
	struct machine_action *actions;
	size_t actions_room;
	struct strv services; /* names; the index is unit_policy.service */
	struct machine_event *events; /* queue */
	size_t event_count, event_at, event_room;
	struct timer machine_timer;
	uint32_t *starts; /* units to launch in this turn */
	size_t start_count, start_room;

	char *directory;
	struct strv config_files;
	struct network *networks;
	size_t network_count;
	struct volume *volumes;
	size_t volume_count;
	bool rules_dirty;

	struct watcher listen_watch, orphan_watch, guardian_watch, signal_watch;
	struct timer accept_timer;
	struct connection *connections;
	struct session *sessions;
	struct timer log_timer; /* the disk was full: look again */
	bool log_stalled;
	struct strv cgroup_trash; /* groups whose processes are still dying */
	struct timer trash_timer;
	struct guardian_orphan *orphans; /* ends that nobody has asked for yet */
	size_t orphan_count;
	struct helper *helpers; /* processes of ours that remove big trees */
	int guardian_pidfd, signal_fd;
	int pid1_fd; /* our init as a sealed file, made at first use */
	bool stopping; /* a signal asked for an ordered end */
	bool finished; /* the loop ends with exit_status */
	bool take_over; /* the guardian died: become it */
	int exit_status;
};

/* The whole life of a supervisor; called in the process that the guardian cloned. */
int supervisor_run(struct guardian_link *link);

/* Queues an event. */
void supervisor_post(struct supervisor *s, const struct machine_event *event);
void supervisor_post_simple(struct supervisor *s, enum machine_event_type type, uint32_t unit);
/* What machine_adopt() says has to be done. */
void supervisor_adopt_machine(struct supervisor *s);
/* Index of a service, added if it is new. */
uint32_t supervisor_service(struct supervisor *s, const char *name);

/* unit.c: containers as objects. */
/* Puts a settled plan (taken over) into a free slot with state CREATED. NULL with @err filled. */
struct unit *unit_create(struct supervisor *s, struct plan_container *plan, struct error *err);
/* Makes the object for an occupied slot (adoption). Takes the plan over. */
struct unit *unit_attach(
	struct supervisor *s, uint32_t index, const struct slot *slot, struct plan_container *plan);
/* Frees object and slot. Everything it has in the kernel must be gone. */
void unit_destroy(struct unit *u);
void unit_commit(struct unit *u);
void unit_fd_set(struct unit *u, enum slot_fd which, int fd); /* closes the old; commits */
struct unit *unit_find(struct supervisor *s, const char *name_or_id);
void unit_set_error(struct unit *u, const struct error *err);
const char *unit_short_id(const struct unit *u, char out[UNIT_ID_SHORT + 1]);
/* "wherry/<project>/<id12>.<life>" */
void unit_cgroup_path(const struct unit *u, char out[300]);
bool unit_is_active(const struct unit *u); /* has, or is about to have, a process */
/* Whether @u depends on @other (directly). */
bool unit_depends_on(const struct unit *u, const struct unit *other);
void supervisor_rebuild_dependencies(struct supervisor *s);

/* streams.c: output of containers. */
int streams_open(struct unit *u, struct error *err);
void streams_close(struct unit *u);
/* End of a life: everything that is there goes to the log. */
void streams_drain(struct unit *u);
/* Moves a bounded amount for every stream that may have something. True: more is waiting. */
bool streams_work(struct supervisor *s);
void streams_recover(struct supervisor *s); /* after adoption */

/* launch.c: actions on a container's processes. */
int launch_prepare(struct unit *u, struct error *err); /* network, ports, files */
int launch_spawn(struct unit *u, struct error *err);
void launch_signal(struct unit *u, int signal);
void launch_kill(struct unit *u);
void launch_freeze(struct unit *u, bool frozen);
void launch_watch(struct unit *u); /* status pipe, pidfd, console */
void launch_failed(struct unit *u, const struct error *err);
/* The first process ended with @wait_status (-1: nobody knows). */
void launch_ended(struct unit *u, int wait_status);
void launch_orphan(struct supervisor *s, const struct guardian_orphan *orphan);
/* Kills what is left in a group and removes it, now or a little later. */
void supervisor_trash_cgroup(struct supervisor *s, const char *path);
/* Why a process does not die: "pid 12 is in state D (wait channel x)". */
void launch_explain_unkillable(struct unit *u, char *text, size_t size);

/* session.c: processes inside a running container. */
enum session_kind_end { SESSION_ENDED, SESSION_TIMED_OUT, SESSION_FAILED };
typedef void session_done_fn(struct session *session, int exit_code, const struct error *err);
struct session {
	struct session *next;
	struct supervisor *s;
	struct table_session *note;
	struct unit *unit;
	char cgroup_path[300];
	struct watcher exit_watch, status_watch, output_watch;
	struct container_process process;
	int output_fd; /* read end of a probe's output, or -EBADF */
	struct str output;
	int64_t started_wall_ns;
	int wait_status; /* once ended */
	bool failed;
	struct error error;
	session_done_fn *done;
	void *owner; /* for done */
	bool started; /* the payload runs */
	void (*on_started)(struct session *session);
};
struct session_request {
	enum session_kind kind;
	const char *const *args, *const *env;
	const char *cwd, *user;
	bool privileged, terminal, capture;
	uint16_t rows, columns;
	int stdio[3];
	int64_t deadline_us;
	int client; /* connection, noted for the next supervisor; -1 */
	session_done_fn *done;
	void (*on_started)(struct session *session);
	void *owner;
};
struct session *session_start(
	struct unit *u, const struct session_request *request, struct error *err);
/* Kills it with all it started; done is not called. */
void session_cancel(struct session *session);
void session_signal(struct session *session, int signal);
bool session_orphan(struct supervisor *s, const struct guardian_orphan *orphan);
/* Ends or adopts what an earlier supervisor ran. */
void sessions_adopt(struct supervisor *s, bool same_table);
void session_drop_unit(struct unit *u); /* its container ended */

/* health.c */
void health_probe(struct unit *u, bool regular);
void health_cancel(struct unit *u, bool timed_out);
json_t *health_log_print(const struct unit *u);
void health_finish(struct unit *u);

/* networks.c: networks of the project, what a container has of them. */
int networks_apply(
	struct supervisor *s, const struct plan *plan, struct connection *c, struct error *err);
int networks_restore(struct supervisor *s, struct error *err); /* bridges as recorded exist */
void networks_remove_all(struct supervisor *s, struct connection *c);
struct network *network_find(struct supervisor *s, const char *name);
json_t *networks_print(const struct supervisor *s);
void networks_parse(struct supervisor *s, const json_t *json);
void networks_finish(struct supervisor *s);
/* Namespace, interfaces, addresses, resolver and ports of a container. */
int endpoint_set_up(struct unit *u, struct error *err);
int endpoint_adopt(struct unit *u, bool same_table, struct error *err);
void endpoint_remove(struct unit *u);
uint32_t endpoint_gateway(struct unit *u); /* of the first network; 0: none */
uint32_t endpoint_address(const struct unit *u, const char *network); /* 0: none */
/* publish.c: ports. */
int ports_reserve(struct unit *u, struct error *err);
void ports_release(struct unit *u);
int networks_flush_rules(struct supervisor *s, struct error *err);
json_t *ports_print(const struct unit *u);
/* names.c: the resolver's view. */
resolver_lookup_fn names_lookup;
resolver_reverse_fn names_reverse;

/* volumes.c */
int volumes_apply(
	struct supervisor *s, const struct plan *plan, struct connection *c, struct error *err);
/* Host path of each volume of the container (made if missing), names of anonymous ones put in;
 * those of @old with the same target are kept. */
int volumes_settle(struct supervisor *s, struct plan_container *plan,
	const struct plan_container *old, char **paths, bool *fill, struct error *err);
/* Takes a volume that exists for one of the project's. */
void volumes_remember(struct supervisor *s, const char *name);
void volumes_remove_declared(struct supervisor *s, struct connection *c);
void volumes_remove_anonymous(struct unit *u);
json_t *volumes_print(const struct supervisor *s);
void volumes_parse(struct supervisor *s, const json_t *json);
void volumes_finish(struct supervisor *s);

/* records.c: files of the project. */
int record_unit(struct unit *u, struct error *err);
/* Puts what an adopter would read in the plan's place: what it took to settle it is given back. */
void record_unit_compact(struct unit *u);
struct plan_container *record_unit_read(struct supervisor *s, const char *id, struct error *err);
int record_project(struct supervisor *s, struct error *err);
int record_project_read(struct supervisor *s, struct error *err);
/* ACTION_REMOVE: everything the container has. Its big trees are removed by a helper process
 * after EVENT_REMOVED; helpers_busy() says whether one is still at work. */
void record_unit_remove(struct unit *u);
bool helpers_busy(const struct supervisor *s);
/* Goes on removing what a predecessor had begun to remove. */
void record_remove_leftovers(struct supervisor *s);
/* Path of a file of the unit, the caller's (free). */
char *record_unit_path(const struct unit *u, const char *suffix);
char *record_container_dir(const struct unit *u);

/* adopt.c */
/* @table_state as of table_open(); @same_table: its descriptor numbers are ours. */
int adopt_project(struct supervisor *s, int table_state, bool same_table, struct error *err);

/* control.c: connections. */
int control_open(struct supervisor *s, struct error *err);
void control_settle(struct supervisor *s); /* operations look whether they are done; flush */
void control_changed(
	struct supervisor *s, struct unit *u, enum unit_change change, struct unit *other);
void control_event(struct supervisor *s, json_t *event); /* to all who listen; takes it */
void control_warn(struct supervisor *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
json_t *control_unit_event(struct unit *u, const char *kind); /* new reference */
void control_forget_unit(struct supervisor *s, struct unit *u); /* it is being destroyed */
/* The project is gone: tells whoever asked for it, as the last thing. */
void control_say_goodbye(struct supervisor *s);

#endif
