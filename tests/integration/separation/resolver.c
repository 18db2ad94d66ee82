/* Adds each name that the process looks up to the file RESOLVED, a line each. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    static int (*original)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    const char *file = getenv("RESOLVED");
    int log = file ? open(file, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;

    if (log >= 0) {
        dprintf(log, "%s\n", name ? name : "-");
        close(log);
    }
    if (!original)
        *(void **)&original = dlsym(RTLD_NEXT, "getaddrinfo");
    return original ? original(name, service, hints, found) : EAI_FAIL;
}
