/* A hostile program of a workspace: each mode races against what the daemon does outside.
 *
 *     hostile MODE ARGUMENT…
 *
 * It goes on until it is ended. What it gets at that is none of its business goes to standard
 * output, one line each; silence means that it was beaten.
 *
 *   intrude VOLUMES VICTIM     put a file, or a link to VICTIM, where volumes come and go
 *   exchange DIR LINK          exchange a folder and a symbolic link, over and over
 *   read FILE…                 read files that nobody showed it
 *   write DIR…                 write where it may not
 *   churn DIR                  make and remove trees with pipes, sockets and closed folders
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXCHANGE 2

static void got(const char *what, const char *path) {
    printf("%s %s\n", what, path);
    fflush(stdout);
}

static void intrude(const char *volumes, const char *victim) {
    char path[4096], link[4096];
    snprintf(path, sizeof path, "%s/.held", volumes);
    snprintf(link, sizeof link, "%s/.link", volumes);
    for (;;) {
        /* Whoever holds a file open for writing keeps a mount from becoming read-only. */
        if (open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0) {
            got("held", path);
            if (symlink(victim, link) == 0) got("linked", link);
            pause();
        }
        usleep(10); /* the machine has others to serve */
    }
}

static void exchange(const char *folder, const char *link) {
    for (;;) {
        if (syscall(SYS_renameat2, AT_FDCWD, folder, AT_FDCWD, link, EXCHANGE) != 0) usleep(500);
    }
}

static void read_all(char **paths) {
    char said[64];
    for (;;) {
        for (char **path = paths; *path; path++) {
            int file = open(*path, O_RDONLY | O_NONBLOCK);
            if (file >= 0 && read(file, said, sizeof said) > 0) {
                got("read", *path);
                pause();
            }
            if (file >= 0) close(file);
        }
        usleep(200);
    }
}

static void write_all(char **folders) {
    char path[4096];
    for (;;) {
        for (char **folder = folders; *folder; folder++) {
            snprintf(path, sizeof path, "%s/attacked", *folder);
            if (open(path, O_CREAT | O_WRONLY, 0600) >= 0) {
                got("wrote", path);
                pause();
            }
        }
        usleep(200);
    }
}

static void churn(const char *folder) {
    char path[4096];
    for (unsigned n = 0;; n = (n + 1) % 50) {
        snprintf(path, sizeof path, "%s/%u", folder, n);
        if (mkdir(path, 0700) == 0) {
            strcat(path, "/pipe");
            mkfifo(path, 0600);
            path[strlen(path) - 5] = 0;
            chmod(path, n % 2 ? 0000 : 0700);
        } else {
            chmod(path, 0700);
            strcat(path, "/pipe");
            unlink(path);
            path[strlen(path) - 5] = 0;
            rmdir(path);
        }
        usleep(300);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    if (!strcmp(argv[1], "intrude") && argc == 4) intrude(argv[2], argv[3]);
    if (!strcmp(argv[1], "exchange") && argc == 4) exchange(argv[2], argv[3]);
    if (!strcmp(argv[1], "read")) read_all(argv + 2);
    if (!strcmp(argv[1], "write")) write_all(argv + 2);
    if (!strcmp(argv[1], "churn")) churn(argv[2]);
    return 2;
}
