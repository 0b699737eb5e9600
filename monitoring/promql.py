"""Queries of the dashboards, over the time between two points of a graph."""


def per_second(metric: str, *by: str) -> str:
    return f"sum{_by(by)} (rate({metric}[$__rate_interval]))"


def quantile(share: float, histogram: str, *by: str) -> str:
    return f"histogram_quantile({share}, sum{_by(('le', *by))} (rate({histogram}_bucket[$__rate_interval])))"


def mean(histogram: str, *by: str) -> str:
    return f"{per_second(f'{histogram}_sum', *by)} / {per_second(f'{histogram}_count', *by)}"


def greatest(gauge: str, *by: str) -> str:
    return f"max{_by(by)} ({gauge})"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
