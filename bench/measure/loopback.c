/* For LD_PRELOAD: shows 127.0.0.1 as an ordinary interface, and no other one, so that Janus offers it to callers. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/socket.h>

int getifaddrs(struct ifaddrs **list)
{
    int (*real)(struct ifaddrs **) = dlsym(RTLD_NEXT, "getifaddrs");
    int result = real(list);
    if (result != 0)
        return result;
    for (struct ifaddrs *one = *list; one != NULL; one = one->ifa_next) {
        int shown = (one->ifa_flags & IFF_LOOPBACK) && one->ifa_addr && one->ifa_addr->sa_family == AF_INET;
        one->ifa_flags = shown ? one->ifa_flags & ~(unsigned)IFF_LOOPBACK : 0;
        if (!shown)
            one->ifa_addr = NULL;
    }
    return 0;
}
