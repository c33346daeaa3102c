#!/bin/sh
# After removal: systemd forgets the service. Purging the deb also takes the service's user and all that it kept, models too; rpm
# knows no purge (docs/install.md says what is left and how to remove it).
set -e
case "$1" in
remove | purge | 0)
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
    fi
    ;;
esac
if [ "$1" = purge ]; then
    rm -rf --one-file-system /var/lib/systemgemma
    if getent passwd systemgemma >/dev/null; then
        userdel systemgemma
    fi
fi
