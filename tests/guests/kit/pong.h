/*
 * pong.h: as much of Ethernet, ARP, IPv4 and ICMP as answering a ping takes (RFC 826, 791, 792).
 * A frame is answered in place.
 */
#ifndef KIT_PONG_H
#define KIT_PONG_H

#include "kit.h"

struct interface {
    const char *name;
    uint8_t address[4];
    solo5_handle_t handle;
    struct solo5_net_info info;
};

enum pong {
    PONG_NOTHING,     /* not for us */
    PONG_UNSUPPORTED, /* for us, but of an unknown kind */
    PONG_ARP,         /* the buffer now holds an ARP reply */
    PONG_ECHO,        /* the buffer now holds an echo reply */
};

#define ETHERTYPE 12
#define ARP 14
#define ARP_SIZE 28
#define IP 14
#define IP_SIZE 20
#define ICMP 34
#define ICMP_SIZE 8

static inline unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static inline void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* RFC 1071 */
static unsigned checksum(const uint8_t *data, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i + 1 < size; i += 2)
        sum += get16(data + i);
    if (size % 2 != 0)
        sum += (unsigned)data[size - 1] << 8;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (unsigned)~sum & 0xffff;
}

static bool is_broadcast_mac(const uint8_t *mac)
{
    for (int i = 0; i < SOLO5_NET_ALEN; i++)
        if (mac[i] != 0xff)
            return false;
    return true;
}

/* Ours, our /24's broadcast address, or everybody's. */
static bool is_for(const struct interface *nic, const uint8_t *address)
{
    static const uint8_t all[4] = {255, 255, 255, 255};
    return memcmp(address, nic->address, 4) == 0 || memcmp(address, all, 4) == 0 ||
           (memcmp(address, nic->address, 3) == 0 && address[3] == 255);
}

static void turn_ethernet(const struct interface *nic, uint8_t *frame)
{
    memcpy(frame, frame + 6, SOLO5_NET_ALEN);
    memcpy(frame + 6, nic->info.mac_address, SOLO5_NET_ALEN);
}

/* Fills in the ARP packet; the operation is 1 for a request, 2 for a reply. */
static void put_arp(const struct interface *nic, uint8_t *frame, unsigned operation,
                    const uint8_t *target_mac, const uint8_t *target_address)
{
    uint8_t *arp = frame + ARP;
    memmove(arp + 24, target_address, 4);
    memmove(arp + 18, target_mac, SOLO5_NET_ALEN);
    put16(frame + ETHERTYPE, 0x0806);
    put16(arp, 1);
    put16(arp + 2, 0x0800);
    arp[4] = SOLO5_NET_ALEN;
    arp[5] = 4;
    put16(arp + 6, operation);
    memcpy(arp + 8, nic->info.mac_address, SOLO5_NET_ALEN);
    memcpy(arp + 14, nic->address, 4);
}

static enum pong answer_arp(const struct interface *nic, uint8_t *frame, size_t size)
{
    uint8_t *arp = frame + ARP;
    if (size < ARP + ARP_SIZE || get16(arp) != 1 || get16(arp + 2) != 0x0800 || arp[4] != 6 ||
        arp[5] != 4 || get16(arp + 6) != 1)
        return PONG_UNSUPPORTED;
    if (memcmp(arp + 24, nic->address, 4) != 0)
        return PONG_NOTHING;
    turn_ethernet(nic, frame);
    put_arp(nic, frame, 2, arp + 8, arp + 14);
    return PONG_ARP;
}

static enum pong answer_ip(const struct interface *nic, uint8_t *frame, size_t size)
{
    uint8_t *ip = frame + IP, *icmp = frame + ICMP;
    if (size < ICMP + ICMP_SIZE || ip[0] != 0x45 || ip[9] != 1)
        return PONG_UNSUPPORTED;
    size_t total = get16(ip + 2);
    if (total < IP_SIZE + ICMP_SIZE || IP + total > size)
        return PONG_UNSUPPORTED;
    if (!is_for(nic, ip + 16))
        return PONG_NOTHING;
    if (icmp[0] != 8 || icmp[1] != 0)
        return PONG_UNSUPPORTED;

    turn_ethernet(nic, frame);
    memcpy(ip + 16, ip + 12, 4);
    memcpy(ip + 12, nic->address, 4);
    ip[8] = 64;
    put16(ip + 10, 0);
    put16(ip + 10, checksum(ip, IP_SIZE));
    icmp[0] = 0;
    put16(icmp + 2, 0);
    put16(icmp + 2, checksum(icmp, total - IP_SIZE));
    return PONG_ECHO;
}

static inline enum pong answer(const struct interface *nic, uint8_t *frame, size_t size)
{
    if (size < SOLO5_NET_HLEN)
        return PONG_UNSUPPORTED;
    if (memcmp(frame, nic->info.mac_address, SOLO5_NET_ALEN) != 0 && !is_broadcast_mac(frame))
        return PONG_NOTHING;
    switch (get16(frame + ETHERTYPE)) {
    case 0x0806:
        return answer_arp(nic, frame, size);
    case 0x0800:
        return answer_ip(nic, frame, size);
    default:
        return PONG_UNSUPPORTED;
    }
}

/* Acquires the device, prints that, and announces our address on the network. */
static inline bool start_interface(struct interface *nic)
{
    uint8_t frame[ARP + ARP_SIZE];
    if (solo5_net_acquire(nic->name, &nic->handle, &nic->info) != SOLO5_R_OK) {
        say("Could not acquire '");
        say(nic->name);
        say("'\n");
        return false;
    }
    say("[");
    say(nic->name);
    say("] Serving ping on ");
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            say(".");
        say_decimal(nic->address[i]);
    }
    say(", with MAC: ");
    for (int i = 0; i < SOLO5_NET_ALEN; i++)
        say_hex(nic->info.mac_address[i], 2);
    say("\n");

    memset(frame, 0xff, SOLO5_NET_ALEN);
    memcpy(frame + 6, nic->info.mac_address, SOLO5_NET_ALEN);
    put_arp(nic, frame, 1, frame, nic->address);
    return solo5_net_write(nic->handle, frame, sizeof frame) == SOLO5_R_OK;
}

#endif
