/*
 * Network namespaces of containers. The supervisor has one thread, so it can step into a namespace
 * and back; nothing else of it moves along.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sched.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "net/net.h"
#include "net/netlink.h"

static int open_own_ns(void)
{
	return sys_open("/proc/thread-self/ns/net", O_RDONLY, 0);
}

/* Whoever cannot go home would make every later interface in a container: better to end. */
static void go_home(int home)
{
	if (setns(home, CLONE_NEWNET) < 0) {
		fprintf(stderr, "wherry: cannot return to the host's network namespace: %s\n",
			strerror(errno));
		abort();
	}
}

int net_ns_do(int ns_fd, int (*call)(void *data), void *data)
{
	_cleanup_fd_ int home = open_own_ns();
	int r;

	if (home < 0) {
		return home;
	}
	r = sys_setns(ns_fd, CLONE_NEWNET);
	if (r < 0) {
		return r;
	}
	r = call(data);
	go_home(home);
	return r;
}

/* docker's settings for a container's network. */
static const struct {
	const char *path, *value;
	bool without_ipv6_only;
} ns_sysctls[] = {
	{ "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", false },
	{ "/proc/sys/net/ipv4/ping_group_range", "0 2147483647", false },
	/* Interfaces to come take these over; lo keeps ::1, which servers bind without being asked. */
	{ "/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", true },
	{ "/proc/sys/net/ipv6/conf/default/accept_ra", "0", true },
};

static int set_sysctls(bool ipv6, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(ns_sysctls); i++) {
		int r;

		if (ipv6 && ns_sysctls[i].without_ipv6_only) {
			continue;
		}
		r = file_put_at(AT_FDCWD, ns_sysctls[i].path, ns_sysctls[i].value);
		/*
		 * Missing: a kernel without that feature. EINVAL: group ids that our user namespace
		 * does not map. Read-only: we are in a container ourselves. All can be lived with.
		 */
		if (r < 0 && r != -ENOENT && r != -EINVAL && r != -EROFS && r != -EACCES) {
			return error_set(err, r, "set %s", ns_sysctls[i].path);
		}
	}
	return 0;
}

static int lo_up(struct error *err)
{
	struct ifinfomsg link = { .ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct netlink nl;
	int r = netlink_open(&nl, NETLINK_ROUTE, err);

	if (r == 0) {
		r = netlink_call(&nl, netlink_request(RTM_NEWLINK, 0, &link, sizeof(link)), err,
			"bring up lo in a new network namespace");
	}
	netlink_close(&nl);
	return r;
}

int net_ns_create(bool ipv6, int *fd, struct error *err)
{
	_cleanup_fd_ int home = open_own_ns();
	_cleanup_fd_ int made = -EBADF;
	int r;

	*fd = -EBADF;
	if (home < 0) {
		return error_set(err, home, "open this process's network namespace");
	}
	r = sys_unshare(CLONE_NEWNET);
	if (r < 0) {
		return error_set(err, r, "make a network namespace");
	}
	made = open_own_ns();
	if (made < 0) {
		r = error_set(err, made, "open the new network namespace");
	} else {
		r = lo_up(err);
	}
	if (r == 0) {
		r = set_sysctls(ipv6, err);
	}
	go_home(home);
	if (r == 0) {
		*fd = take_fd(&made);
	}
	return r;
}
