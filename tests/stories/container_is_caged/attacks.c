// What an attacker does from inside a container step: the first argument names the attack. Each line that it prints
// is `tried <tab> met`. It ends with 9 when every try was refused, and with 0 when one was not.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static int escaped;

static void met(const char *tried, const char *what, int is_escape) {
    printf("%s\t%s\n", tried, what);
    fflush(stdout);
    escaped |= is_escape;
}

// A call that has to fail: its error's name is what was met.
static void call(const char *tried, long result) {
    met(tried, result < 0 ? strerrorname_np(errno) : "NOTHING", result >= 0);
}

static void opened(const char *tried, const char *path, int flags) { call(tried, open(path, flags, 0600)); }

static int unix_socket(const char *path, int is_abstract) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path + is_abstract, path, sizeof to.sun_path - 2);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + is_abstract + strlen(path);
    return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&to, length);
}

// To `address:port`, or `[address]:port`.
static int tcp(const char *where) {
    char address[64] = {0};
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
    const char *port = strrchr(where, ':') + 1;
    if (where[0] == '[') {
        memcpy(address, where + 1, strcspn(where + 1, "]"));
        to6.sin6_port = htons(atoi(port));
        inet_pton(AF_INET6, address, &to6.sin6_addr);
        return connect(socket(AF_INET6, SOCK_STREAM, 0), (struct sockaddr *)&to6, sizeof to6);
    }
    memcpy(address, where, port - where - 1);
    to.sin_port = htons(atoi(port));
    inet_pton(AF_INET, address, &to.sin_addr);
    return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to);
}

static void docker_socket(char **given) {
    call("connect to the engine's own socket", unix_socket(given[0], 0));
    call("connect to /var/run/docker.sock", unix_socket("/var/run/docker.sock", 0));
    call("connect to /run/containerd/containerd.sock", unix_socket("/run/containerd/containerd.sock", 0));
    int is_named = getenv("DOCKER_HOST") != NULL;
    met("read DOCKER_HOST", is_named ? "NOTHING" : "not set", is_named);
}

static void devices(char **given) {
    (void)given;
    int refused = 0;
    DIR *disks = opendir("/sys/block");
    for (struct dirent *disk; disks && (disk = readdir(disks));) {
        unsigned major, minor;
        char path[512];
        snprintf(path, sizeof path, "/sys/block/%s/dev", disk->d_name);
        FILE *number = disk->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!number || fscanf(number, "%u:%u", &major, &minor) != 2) continue;
        if (mknod("/tmp/disk", S_IFBLK | 0600, makedev(major, minor)) == 0) met("make a node of a disk", "NOTHING", 1);
        refused = errno;
    }
    errno = refused;
    call("make a node of each disk (mknod)", refused ? -1 : 0);
    call("make a node of the memory (mknod)", mknod("/workspace/mem", S_IFCHR | 0600, makedev(1, 1)));
    opened("open /dev/mem", "/dev/mem", O_RDWR);
    opened("open /dev/kmsg", "/dev/kmsg", O_RDONLY);
    opened("open /dev/sda", "/dev/sda", O_RDONLY);
    opened("open /dev/vda", "/dev/vda", O_RDONLY);
    opened("open /dev/loop-control", "/dev/loop-control", O_RDWR);
    opened("open /dev/fuse", "/dev/fuse", O_RDWR);
}

static void mounts(char **given) {
    (void)given;
    call("mount a proc of its own", mount("proc", "/tmp", "proc", 0, NULL));
    call("mount what is mounted elsewhere (bind)", mount("/proc", "/tmp", NULL, MS_BIND, NULL));
    call("mount the root again, to write", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
    call("unmount what hides /proc/kcore", umount2("/proc/kcore", MNT_DETACH));
    call("open a file system (fsopen)", syscall(SYS_fsopen, "tmpfs", 0));
    opened("write to the image", "/written", O_CREAT | O_WRONLY);
    opened("write /proc/sys/kernel/core_pattern", "/proc/sys/kernel/core_pattern", O_WRONLY);
    char kcore[16];
    int file = open("/proc/kcore", O_RDONLY);
    int is_read = file >= 0 && read(file, kcore, sizeof kcore) > 0;
    met("read /proc/kcore", is_read ? "NOTHING" : "nothing to read", is_read);
    opened("write below /sys", "/sys/written", O_CREAT | O_WRONLY);
}

// Given: the host's namespaces, as `/proc/self/ns` names them.
static void namespaces(char **given) {
    const char *kinds[] = {"pid", "net", "ipc", "uts", "mnt", "cgroup"};
    for (int i = 0; i < 6; i++) {
        char path[64], own[64] = {0}, tried[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        if (readlink(path, own, sizeof own - 1) < 0) met(path, "NOTHING", 1);
        int is_shared = 0;
        for (char **host = given; *host; host++) is_shared |= strcmp(*host, own) == 0;
        snprintf(tried, sizeof tried, "be in the host's %s namespace", kinds[i]);
        met(tried, is_shared ? "NOTHING" : "its own", is_shared);
    }
    call("enter a namespace (setns)", setns(open("/proc/1/ns/mnt", O_RDONLY), 0));
    call("make a user namespace (unshare)", unshare(CLONE_NEWUSER));
    call("make a mount namespace (unshare)", unshare(CLONE_NEWNS));
    call("make a network namespace (unshare)", unshare(CLONE_NEWNET));
}

static void status(const char *line, const char *tried, const char *wanted) {
    char text[256], *found = NULL;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(text, sizeof text, file))
        if (strncmp(text, line, strlen(line)) == 0) { found = text + strlen(line) + 1; break; }
    if (found) found[strcspn(found, "\n")] = 0;
    int is_wanted = found && strcmp(found, wanted) == 0;
    met(tried, is_wanted ? wanted : "NOTHING", !is_wanted);
}

static void capabilities(char **given) {
    (void)given;
    status("CapEff:", "have a capability (CapEff)", "0000000000000000");
    status("CapBnd:", "have one to gain (CapBnd)", "0000000000000000");
    status("NoNewPrivs:", "be let to gain any (NoNewPrivs)", "1");
    status("Seccomp:", "make any system call (Seccomp)", "2");
    call("become root (setuid)", setuid(0));
    call("send raw packets (AF_INET, SOCK_RAW)", socket(AF_INET, SOCK_RAW, 1));
    call("send raw frames (AF_PACKET)", socket(AF_PACKET, SOCK_RAW, 0));
    call("escape by another root (chroot)", chroot("/tmp"));
    call("open a file by its handle (open_by_handle_at)", syscall(SYS_open_by_handle_at, AT_FDCWD, given, O_RDONLY));
    call("load a module", syscall(SYS_init_module, "", 0L, ""));
    call("load a program into the kernel (bpf)", syscall(SYS_bpf, 0, NULL, 0));
    char *arguments[] = {"/set-to-root", "who", NULL};
    struct stat set;
    if (stat(arguments[0], &set) < 0 || !(set.st_mode & S_ISUID) || set.st_uid != 0) exit(2);
    if (fork() == 0) { execv(arguments[0], arguments); _exit(7); }
    int code;
    wait(&code);
    int is_root = !WIFEXITED(code) || WEXITSTATUS(code) != 9;
    met("run a program that is set to root", is_root ? "NOTHING" : "still not root", is_root);
}

static void who(char **given) {
    (void)given;
    escaped = geteuid() == 0 || getegid() == 0;
}

static void fork_bomb(char **given) {
    (void)given;
    for (;;)
        switch (fork()) {
        case -1: call("fork for ever", -1); for (;;) pause();
        case 0: for (;;) pause();
        }
}

// Fills a folder with files that have no name any more: no one who walks through it sees them.
static void fill(const char *tried, const char *folder) {
    static char block[1 << 20];
    static int files[1000];
    memset(block, 1, sizeof block);
    int count = 0, is_full = 0;
    while (count < 1000 && !is_full) {
        char path[64];
        snprintf(path, sizeof path, "%s/fill-%d", folder, count);
        files[count] = open(path, O_CREAT | O_WRONLY, 0600);
        unlink(path);
        for (int i = 0; i < 8 && !is_full; i++) is_full = write(files[count], block, sizeof block) < 0;
        count++;
    }
    call(tried, is_full ? -1 : 0);
    // The disk itself is left full, for as long as this runs; what is in memory would use that up.
    while (strcmp(folder, "/workspace") != 0 && count > 0) close(files[--count]);
}

static void disk(char **given) {
    (void)given;
    signal(SIGXFSZ, SIG_IGN);
    int large = open("/workspace/large", O_CREAT | O_WRONLY, 0600);
    call("reserve a terabyte (fallocate)", fallocate(large, 0, 0, 1L << 40));
    fill("fill /tmp", "/tmp");
    fill("fill the workspace", "/workspace");
    for (;;) pause();
}

// An image can say where it wants a folder that may be written; this one says /volume.
static void volume(char **given) {
    (void)given;
    fill("fill it", "/volume");
    struct statfs seen;
    int is_in_memory = statfs("/volume", &seen) == 0 && seen.f_type == TMPFS_MAGIC;
    met("have it on the engine's disk", is_in_memory ? "in memory" : "NOTHING", !is_in_memory);
    call("make a device in it (mknod)", mknod("/volume/mem", S_IFCHR | 0600, makedev(1, 1)));
}

static void memory(char **given) {
    (void)given;
    for (;;) {
        char *more = malloc(1 << 20);
        if (more) memset(more, 1, 1 << 20);
    }
}

static void flood(char **given) {
    (void)given;
    for (;;) puts("a line of a flood that fills a disk, where nobody looks after it");
}

static void metadata(char **given) {
    (void)given;
    call("connect to 169.254.169.254:80", tcp("169.254.169.254:80"));
    call("connect to [fd00:ec2::254]:80", tcp("[fd00:ec2::254]:80"));
    call("connect to 169.254.170.2:80 (ECS)", tcp("169.254.170.2:80"));
}

// Given: where the API server listens.
static void api_server(char **given) {
    call("connect to the API server", tcp(given[0]));
    call("connect to 10.96.0.1:443 (its Service)", tcp("10.96.0.1:443"));
    opened("read a service account's token", "/var/run/secrets/kubernetes.io/serviceaccount/token", O_RDONLY);
    int is_named = getenv("KUBERNETES_SERVICE_HOST") != NULL;
    met("read KUBERNETES_SERVICE_HOST", is_named ? "NOTHING" : "not set", is_named);
}

// Given: a listener on loopback, one at the machine's own address, and a name of an abstract socket.
static void loopback(char **given) {
    call("connect to the host's 127.0.0.1", tcp(given[0]));
    call("connect to the host's own address", tcp(given[1]));
    call("connect to an abstract socket", unix_socket(given[2], 1));
}

// Given: the server's data, and a file there.
static void through(char **given) {
    char path[4096];
    opened("open it by its path on the host", given[1], O_RDONLY);
    snprintf(path, sizeof path, "/workspace/../../../../../../../..%s", given[1]);
    opened("open it by ..", path, O_RDONLY);
    symlink(given[1], "/workspace/link");
    opened("open it by a link in the workspace", "/workspace/link", O_RDONLY);
    snprintf(path, sizeof path, "/proc/1/root%s", given[1]);
    opened("open it by /proc/1/root", path, O_RDONLY);
    opened("open the server's data", given[0], O_RDONLY);
    opened("look above the workspace", "/workspace/../image", O_RDONLY);
}

static void cache(char **given) {
    through(given);
    opened("find it in its own cache", "/cache/theirs", O_RDONLY);
}

// Given: a process of the host.
static void processes(char **given) {
    pid_t host = atoi(given[0]);
    char path[64];
    call("kill a process of the host", kill(host, SIGKILL));
    call("trace it (ptrace)", ptrace(PTRACE_ATTACH, host, NULL, NULL));
    call("get a handle of it (pidfd_open)", syscall(SYS_pidfd_open, host, 0));
    snprintf(path, sizeof path, "/proc/%d/environ", host);
    opened("read its environment", path, O_RDONLY);
    snprintf(path, sizeof path, "/proc/%d/mem", host);
    opened("write its memory", path, O_RDWR);
    int others = 0;
    DIR *all = opendir("/proc");
    for (struct dirent *one; all && (one = readdir(all));) others += atoi(one->d_name) > 1;
    met("see any process but itself", others ? "NOTHING" : "none", others);
}

// What a step is there for: it reads what was pushed, and leaves something to the steps and the runs after it.
// Given: the file that it keeps in its cache.
static void honest(char **given) {
    FILE *pushed = fopen("/workspace/was/static/server", "r"), *kept = fopen(given[0], "r");
    FILE *made = fopen("/workspace/made", "w"), *temporary = fopen("/tmp/made", "w");
    printf("pushed\t%s\ncached before\t%s\n", pushed ? "read" : strerrorname_np(errno), kept ? "yes" : "no");
    FILE *keep = fopen(given[0], "w");
    if (!pushed || !made || !temporary || !keep) perror("honest"), exit(1);
    fputs("a cache's secret", keep);
    fputs("made by an honest step", made);
}

static void honest_after(char **given) {
    (void)given;
    escaped = 1;
    if (access("/workspace/made", R_OK) != 0) perror("/workspace/made"), exit(1);
    puts("made before\tread");
}

int main(int count, char **arguments) {
    struct { const char *name; void (*attack)(char **); } all[] = {
        {"socket", docker_socket}, {"devices", devices}, {"mounts", mounts}, {"namespaces", namespaces},
        {"capabilities", capabilities}, {"fork-bomb", fork_bomb}, {"disk", disk}, {"memory", memory},
        {"log", flood}, {"volume", volume}, {"metadata", metadata}, {"api-server", api_server}, {"workspaces", through},
        {"cache", cache}, {"loopback", loopback}, {"processes", processes}, {"who", who},
        {"honest", honest}, {"honest-after", honest_after},
    };
    for (unsigned i = 0; count > 1 && i < sizeof all / sizeof *all; i++)
        if (strcmp(arguments[1], all[i].name) == 0) {
            all[i].attack(arguments + 2);
            return escaped || all[i].attack == honest ? 0 : 9;
        }
    return 2;
}
