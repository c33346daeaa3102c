#!/bin/sh
# After installation, of the deb ("configure") and the rpm (1, or 2 when it replaces an older one): the service's user and folder.
# The service is not started.
set -e
if ! getent passwd systemgemma >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /var/lib/systemgemma --shell /usr/sbin/nologin systemgemma
fi
install -d -m 755 -o systemgemma -g systemgemma /var/lib/systemgemma
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart systemgemma.service
fi
