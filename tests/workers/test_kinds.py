import pytest

from domain.jobs import QUEUE_OF, Kind
from workers.app import app
from workers.kinds import SETTLERS

pytestmark = pytest.mark.usefixtures("configured")


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_job_has_a_settler_and_a_task_that_drains_its_queue(kind: Kind) -> None:
    app.loader.import_default_modules()
    assert kind in SETTLERS
    assert f"{QUEUE_OF[kind]}.settle" in app.tasks
