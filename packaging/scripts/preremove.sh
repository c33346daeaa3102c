#!/bin/sh
# Before removal, of the deb ("remove") and the rpm (0): the service ends. A newer package in its place is no removal.
set -e
case "$1" in
remove | 0)
    if [ -d /run/systemd/system ]; then
        systemctl --now disable systemgemma.service
    fi
    ;;
esac
