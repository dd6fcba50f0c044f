/* net_2if: net with two interfaces, each pinged at the same time. */
//@ run spt hvt virtio: tap.service0=10.0.0.1/24 tap.service1=10.1.0.1/24 args=limit ping=10.0.0.2*50000 ping=10.1.0.2*50000 expect=success output="[service1] Serving ping on 10.1.0.2, with MAC: " needs=processor
#define INTERFACES 2
#include "net.c"
