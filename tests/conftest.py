"""For all tests: Hypothesis judges results, not the time of a busy machine; keyboard signals work as at a keyboard.

Started in the background (`nohup`, `&` in a script), a test run inherits some of them as ignored, and hands that on.
"""

import signal

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

for _name, _usual in (("SIGHUP", signal.SIG_DFL), ("SIGINT", signal.default_int_handler), ("SIGQUIT", signal.SIG_DFL)):
    _number = getattr(signal, _name, None)  # Windows has SIGINT only
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)
