# What tasks do with a connection while its secret is replaced. The test plays the API
# that they call, and the operator: tasks ask it for rotations, and tell it what they
# saw. Each story has a connection of its own, acme_STORY.
import os

import aiohttp
import pendulum
import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

try:
    from airflow.sdk import BaseHook, BaseOperator, dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.hooks.base import BaseHook
    from airflow.models.baseoperator import BaseOperator
    from airflow.operators.python import get_current_context

try:
    # `dags test` of Airflow 3.3 runs triggers inline, with a stand-in of the triggerer that
    # cannot be asked asynchronously: there it finds no connection. A triggerer can.
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    async def asend(self, message):
        return self.send(message)

    InProcessSupervisorComms.asend = asend
except ImportError:  # Airflow 2
    pass

TEST = os.environ["STORIES"]
GRANT = {"grant_type": "client_credentials"}


def ask(path, **said):
    """What the test answers; it takes its time over a rotation."""
    answer = requests.post(TEST + path, json=said, timeout=120)
    answer.raise_for_status()


def tell(story, **saw):
    ask("/tell/" + story, **saw)


def call(token, path="/orders"):
    """The API's status."""
    return requests.get(TEST + path, headers={"Authorization": "Bearer " + token}, timeout=30).status_code


def token_of(hook):
    return hook.run(data=GRANT).json()["access_token"]


def login(session, url):
    """UAA's status to what somebody has kept."""
    return session.post(url, data=GRANT, timeout=30).status_code


def tell_response(response, ti):
    """Has a token used at once, so that none gets into an XCom."""
    status = call(response.json()["access_token"])
    tell(ti.task_id, orders=status)
    return status


class Retired(BaseTrigger):
    """Fires when the older secret is gone. kept is what nobody should hand to a trigger."""

    def __init__(self, connection, kept):
        super().__init__()
        self.connection, self.kept = connection, kept

    def serialize(self):
        return "stories.Retired", {"connection": self.connection, "kept": self.kept}

    async def run(self):
        async with aiohttp.ClientSession() as session:
            for path in ("/rotate/", "/retired/"):
                async with session.post(TEST + path + self.connection, json={}) as answer:
                    answer.raise_for_status()
        yield TriggerEvent(self.kept)


class Deferred(BaseOperator):
    """Waits for a whole rotation outside any worker."""

    def execute(self, context):
        held = BaseHook.get_connection("acme_deferred")
        token = token_of(HttpHook("POST", http_conn_id="acme_deferred"))
        kept = {"url": held.host, "login": held.login, "password": held.password, "token": token, "before": call(token)}
        self.defer(trigger=Retired("acme_deferred", kept), method_name="resume")

    def resume(self, context, event):
        held = requests.Session()
        held.auth = (event["login"], event["password"])
        tell(
            "deferred",
            before=event["before"],
            kept_secret=login(held, event["url"]),
            kept_token=call(event["token"]),  # has expired: it lives no longer than the soak
            read_again=call(token_of(HttpHook("POST", http_conn_id="acme_deferred"))),
        )


@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False)
def stories():
    @task
    def hook():
        token = token_of(HttpHook("POST", http_conn_id="acme_hook"))
        tell("hook", orders=call(token), billing=call(token, "/billing"), write=call(token, "/orders/write"))

    HttpOperator(
        task_id="operator",
        http_conn_id="acme_operator",
        method="POST",
        data=GRANT,
        response_filter=tell_response,
    )
    HttpOperator(
        task_id="deferrable",
        http_conn_id="acme_deferrable",
        method="POST",
        data=GRANT,
        response_filter=tell_response,
        deferrable=True,
    )

    @task(retries=1, retry_delay=pendulum.duration(seconds=0))
    def retried():
        tries = get_current_context()["ti"].try_number
        tell("retried-%d" % tries, orders=call(token_of(HttpHook("POST", http_conn_id="acme_retried"))))
        if tries == 1:
            ask("/leaked/acme_retried")  # no soak: what the first try has read is refused by now
            raise RuntimeError("the first try fails")

    @task
    def long():
        hook = HttpHook("POST", http_conn_id="acme_long")
        first = token_of(hook)
        session, url = hook.get_conn(), hook.base_url
        ask("/rotate/acme_long")
        in_soak = {
            "first": call(first),
            "first_at_uaa": call(first, "/check_token"),
            "session_in_soak": login(session, url),
            "hook_in_soak": call(token_of(hook)),
        }
        ask("/retired/acme_long")
        second = token_of(hook)
        tell(
            "long",
            second=call(second),
            second_at_uaa=call(second, "/check_token"),
            session_after=login(session, url),
            **in_soak,
        )

    @task
    def authlib():
        held = BaseHook.get_connection("acme_authlib")
        session = OAuth2Session(held.login, held.password, token_endpoint=held.host, grant_type="client_credentials")
        session.fetch_token()

        def orders():  # with tokens that live for seconds it fetches one each time, by itself
            return session.get(TEST + "/orders", timeout=30).status_code

        before, first = orders(), session.token["access_token"]
        ask("/rotate/acme_authlib")
        in_soak, second = orders(), session.token["access_token"]
        ask("/retired/acme_authlib")
        try:
            after = orders()
        except OAuthError as refused:
            after = refused.error
        tell("authlib", before=before, in_soak=in_soak, after=after, renewed=first != second)

    Deferred(task_id="deferred")
    hook(), retried(), long(), authlib()


stories()
