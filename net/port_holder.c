#include "net/port_holder.h"

#include <dirent.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/netlink.h"

#define TABLE_LIMIT    (16 << 20)
#define INODES_MAX     16
#define TCP_LISTENING  10
#define TCP_BOUND_ONLY 13 /* bound, neither listening nor connected */

/* The sockets in conflict. A forked server has one socket in several processes; the first counts. */
struct inodes {
	unsigned long long items[INODES_MAX];
	size_t count;
};

/* An address of /proc/net: hex digits of the bytes as they lie in memory, colon, port. */
static bool address_conflicts(const char *hex, size_t digits, uint32_t host_ip)
{
	uint32_t last;

	if (host_ip == 0 || strspn(hex, "0") >= digits) {
		return true;
	}
	/* IPv6: only what stands for an IPv4 address can conflict with one. */
	if (digits == 32 && strncmp(hex, "0000000000000000FFFF0000", 24) != 0) {
		return false;
	}
	if (sscanf(hex + digits - 8, "%8x", &last) != 1) {
		return false;
	}
	return last == 0 || ntohl(last) == host_ip;
}

static void scan_table(
	const char *path, bool tcp, uint32_t host_ip, uint16_t port, struct inodes *found)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;

	if (file_read_at(AT_FDCWD, path, TABLE_LIMIT, &text, NULL, NULL) < 0) {
		return;
	}
	rest = text;
	strsep(&rest, "\n"); /* the heading */
	while ((line = strsep(&rest, "\n")) && found->count < INODES_MAX) {
		char local[40];
		unsigned local_port, state;
		unsigned long long inode;

		if (sscanf(line, " %*u: %32[0-9A-F]:%x %*[^ ] %x %*s %*s %*s %*u %*u %llu", local,
			    &local_port, &state, &inode) == 4 &&
			local_port == port && (!tcp || state == TCP_LISTENING) && inode != 0 &&
			address_conflicts(local, strlen(local), host_ip)) {
			found->items[found->count++] = inode;
		}
	}
}

struct wanted {
	uint32_t host_ip;
	uint16_t port;
	struct inodes *found;
};

static int see_socket(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *socket = nlmsg_data(header);
	const struct wanted *w = data;
	uint32_t address;

	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		nlmsg_datalen(header) < (int)sizeof(*socket) ||
		ntohs(socket->id.idiag_sport) != w->port || w->found->count >= INODES_MAX) {
		return 0;
	}
	address = ntohl(socket->id.idiag_src[0]);
	if (w->host_ip == 0 || address == 0 || address == w->host_ip) {
		w->found->items[w->found->count++] = socket->idiag_inode;
	}
	return 0;
}

/* Another project holds its ports as we do, and procfs does not list such sockets. (Linux 6.8 and
 * later tell; earlier ones answer with nothing.) */
static void scan_held(uint32_t host_ip, uint16_t port, struct inodes *found)
{
	struct inet_diag_req_v2 request = { .sdiag_family = AF_INET,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1U << TCP_BOUND_ONLY };
	struct wanted wanted = { host_ip, port, found };
	struct netlink nl;

	if (netlink_open(&nl, NETLINK_SOCK_DIAG, NULL) == 0) {
		netlink_dump(&nl,
			netlink_request(SOCK_DIAG_BY_FAMILY, 0, &request, sizeof(request)),
			see_socket, &wanted);
	}
	netlink_close(&nl);
}

static bool process_has(int proc, const char *pid, const struct inodes *inodes)
{
	char path[32], target[64];
	_cleanup_fd_ int dir = -EBADF;
	struct dirent *entry;
	bool has = false;
	DIR *fds;

	snprintf(path, sizeof(path), "%.16s/fd", pid);
	dir = sys_openat(proc, path, O_RDONLY | O_DIRECTORY, 0);
	fds = dir < 0 ? NULL : fdopendir(dir);
	if (!fds) {
		return false;
	}
	while (!has && (entry = readdir(fds))) {
		unsigned long long inode;
		ssize_t n = readlinkat(dir, entry->d_name, target, sizeof(target) - 1);

		if (n <= 0) {
			continue;
		}
		target[n] = '\0';
		if (sscanf(target, "socket:[%llu]", &inode) != 1) {
			continue;
		}
		for (size_t i = 0; i < inodes->count; i++) {
			has |= inodes->items[i] == inode;
		}
	}
	take_fd(&dir);
	closedir(fds);
	return has;
}

/* A process chooses its own name: only what prints is passed on. */
static void read_name(int proc, const char *pid, char name[20])
{
	char path[32];
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	snprintf(path, sizeof(path), "%.16s/comm", pid);
	if (file_read_at(proc, path, 4096, &text, NULL, NULL) == 0) {
		for (; text[n] && text[n] != '\n' && n < 19; n++) {
			name[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
		}
	}
	name[n] = '\0';
}

void port_holder_find(uint8_t protocol, uint32_t host_ip, uint16_t port, char *out, size_t size)
{
	bool tcp = protocol == IPPROTO_TCP;
	struct inodes inodes = { .count = 0 };
	struct dirent *entry;
	char name[20];
	DIR *proc;

	out[0] = '\0';
	scan_table(tcp ? "/proc/net/tcp" : "/proc/net/udp", tcp, host_ip, port, &inodes);
	scan_table(tcp ? "/proc/net/tcp6" : "/proc/net/udp6", tcp, host_ip, port, &inodes);
	if (tcp && inodes.count == 0) {
		scan_held(host_ip, port, &inodes);
	}
	proc = inodes.count ? opendir("/proc") : NULL;
	if (!proc) {
		return;
	}
	while ((entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
			!process_has(dirfd(proc), entry->d_name, &inodes)) {
			continue;
		}
		read_name(dirfd(proc), entry->d_name, name);
		snprintf(out, size, " (held by %s, pid %s)", name, entry->d_name);
		break;
	}
	closedir(proc);
}
