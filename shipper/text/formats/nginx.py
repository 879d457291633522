"""nginx's access log: its `combined` format is Apache's, its packaged `main` format has one field more.

https://nginx.org/en/docs/http/ngx_http_log_module.html
"""

from __future__ import annotations

from shipper.text.formats.apache import APACHE

__all__ = ["NGINX"]

NGINX = APACHE
"""`remote_host user timestamp method path protocol status bytes referer agent`, and `forwarded_for` where it is written."""
