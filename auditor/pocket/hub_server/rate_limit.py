"""How much may be asked, as the Hub limits it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class RateLimit:
    """A fixed window as the Hub's: `quota` API requests per `window_s` seconds, told in headers, enforced."""

    quota: int = 500
    window_s: float = 300.0
    _started: float = field(default=0.0, init=False)
    _used: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def spend(self) -> tuple[bool, dict[str, str]]:
        """Count one request; return whether it is within the quota, and the headers to send."""
        with self._lock:
            now = time.monotonic()
            if now - self._started >= self.window_s:
                self._started, self._used = now, 0
            allowed = self._used < self.quota
            self._used += allowed
            reset = max(0, round(self.window_s - (now - self._started)))
            left = self.quota - self._used
        return allowed, {
            "RateLimit": f'"api";r={left};t={reset}',
            "RateLimit-Policy": f'"fixed window";"api";q={self.quota};w={round(self.window_s)}',
        }
