"""The whole configuration of Buildbot's master, from the settings."""

from datetime import timedelta
from typing import Any

from buildbot.plugins import changes, schedulers, util, worker

from krsi_ci import builders, maildir, mails
from krsi_ci.settings import Settings

_BRANCH_CATEGORY = "branch"


def configuration(settings: Settings) -> dict[str, Any]:
    """What Buildbot calls BuildmasterConfig."""
    return {
        "title": settings.master.title,
        "titleURL": settings.master.url,
        "buildbotURL": settings.master.url,
        "buildbotNetUsageData": None,
        "db": {"db_url": "sqlite:///state.sqlite"},
        "protocols": {"pb": {"port": settings.master.listen}},
        # A build waits for its shards on the same worker, so a worker may have several.
        "workers": [worker.Worker(each.name, each.password) for each in settings.workers],
        "change_source": _sources(settings),
        "schedulers": _schedulers(settings),
        "builders": builders.builders(settings),
        "services": mails.notifiers(settings),
        # A series is its own build: two of them are never taken for one.
        "collapseRequests": False,
        "configurators": [util.JanitorConfigurator(logHorizon=timedelta(weeks=12), hour=4)],
    }


def _sources(settings: Settings) -> list[Any]:
    project = settings.project
    found = [
        changes.GitPoller(
            repourl=project.repository,
            branches=[project.branch],
            pollInterval=project.poll,
            pollAtLaunch=True,
            category=_BRANCH_CATEGORY,
        )
    ]
    if settings.maildir is not None:
        found.append(
            maildir.MaildirPoller(name="maildir", settings=settings.maildir, project=project)
        )
    return found


def _schedulers(settings: Settings) -> list[Any]:
    found: list[Any] = [
        schedulers.SingleBranchScheduler(
            name=builders.BRANCH,
            builderNames=[builders.BRANCH],
            change_filter=util.ChangeFilter(
                branch=settings.project.branch, category=_BRANCH_CATEGORY
            ),
        )
    ]
    if settings.maildir is not None:
        found.append(
            schedulers.AnyBranchScheduler(
                name=builders.SERIES,
                builderNames=[builders.SERIES],
                change_filter=util.ChangeFilter(category=maildir.CATEGORY),
            )
        )
    for number in range(1, len(settings.workers) + 1):
        name = builders.shard(number)
        found.append(schedulers.Triggerable(name=name, builderNames=[name]))
    return found
