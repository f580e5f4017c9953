"""A speaker behind an OpenAI-compatible address: in parallel, patient with what passes, and within its budget.

What passes is tried again: rate limits, time-outs, broken connections, half replies, faults of the server. What does
not pass ends the run with one sentence: a wrong key, an unknown model, an account without credit. What the server
refuses for one request alone (too long, filtered) is that request's reply.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from xgen.core.errors import UserError
from xgen.core.progress import bar
from xgen.speakers.asking import REFUSED, Record, Reply, Request
from xgen.speakers.budget import Purse
from xgen.speakers.config import Endpoint
from xgen.tokenizer.encoding import decode, encode, without_surrogates

LONGEST_WAIT = 60.0
TOKENS_AROUND_A_MESSAGE = 16
"""More than any template of a chat spends on the words around one message."""
REFUSED_FOR_GOOD = (400, 413, 422)
NO_CREDIT = "insufficient_quota"


class _Passing(Exception):
    """An attempt failed in a way that may pass; `charged` says whether it may have been paid all the same."""

    def __init__(self, why: str, charged: bool, wait_at_least: float = 0.0) -> None:
        self.charged, self.wait_at_least = charged, wait_at_least
        super().__init__(why)


class _Ended(Exception):
    """Another request ended the run."""


class EndpointSpeaker:
    """One model of one server. The library is imported when it is first asked."""

    def __init__(self, config: Endpoint) -> None:
        self.config, self.name, self.context_length = config, config.model, config.context_length

    def encode(self, text: str) -> list[int]:
        return encode(text).tolist()

    def decode(self, ids: Sequence[int]) -> str:
        return decode(list(ids))

    def speak(self, requests: Sequence[Request], record: Record) -> None:
        """Send every request, `concurrency` at a time; the first that cannot be answered stops those not sent yet."""
        client, purse, ended = _client(self.config), Purse(self.config.budget, record.spent), threading.Event()
        first: list[Exception] = []
        with bar(f"ask {self.name}", len(requests)) as progress, ThreadPoolExecutor(self.config.concurrency) as pool:

            def one(request: Request) -> None:
                try:
                    self._answer(client, request, record, purse, ended)
                except Exception as failure:
                    first.append(failure)
                    ended.set()
                    raise
                progress.advance()

            futures = [pool.submit(one, request) for request in requests]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                ended.set()
                pool.shutdown(cancel_futures=True)
        client.close()
        if first:
            raise first[0]

    def _answer(self, client: Any, request: Request, record: Record, purse: Purse, ended: threading.Event) -> None:
        """Send one request until it is answered; how long it waits follows the server's wish, or doubles."""
        import tenacity

        doubling = tenacity.wait_exponential_jitter(self.config.backoff, LONGEST_WAIT, jitter=self.config.backoff)

        def pause(state: Any) -> float:
            failure = state.outcome.exception() if state.outcome else None
            asked_for = failure.wait_at_least if isinstance(failure, _Passing) else 0.0
            return max(asked_for, doubling(state))

        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.config.attempts),
            wait=pause,
            sleep=tenacity.sleep_using_event(ended),
            retry=tenacity.retry_if_exception_type(_Passing),
            reraise=True,
        )
        try:
            attempts(self._attempt, client, request, record, purse, ended)
        except _Passing as failure:
            raise UserError(
                f"{self.name} at {self.config.url} did not answer '{request.name}' in {self.config.attempts} attempts "
                f"(the last: {failure})",
                "a server that answers",
                "Run the same command again when it does: what it said so far is kept and not asked again.",
            ) from None

    def _attempt(self, client: Any, request: Request, record: Record, purse: Purse, ended: threading.Event) -> None:
        if ended.is_set():
            raise _Ended
        at_most = self._most(request)
        purse.set_aside(at_most)
        paid = at_most
        try:
            record.asked(request, at_most)
            reply = self._send(client, request)
            paid = reply.cost
            record.replied(request, reply)
        except _Passing as failure:
            paid = at_most if failure.charged else 0.0
            record.failed(request, str(failure), paid)
            raise
        except UserError as failure:
            paid = 0.0
            record.failed(request, failure.found, paid)
            raise
        finally:
            purse.settle(at_most, paid)

    def _send(self, client: Any, request: Request) -> Reply:
        import openai

        limit: dict[str, Any] = {self.config.length_field: request.max_tokens}
        try:
            found = client.chat.completions.create(
                model=self.config.model, messages=_messages(request), temperature=request.temperature, **limit
            )
        except openai.APITimeoutError:
            raise _Passing(f"no reply within {self.config.timeout:g} s", charged=True) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            refused = type(cause).__name__ == "ConnectError"
            raise _Passing(f"the connection broke ({cause})", charged=not refused) from None
        except openai.APIStatusError as error:
            return self._refused(error)
        except (openai.APIError, ValueError) as error:
            raise _Passing(f"half a reply ({error})", charged=True) from None
        return self._read(found, request)

    def _refused(self, error: Any) -> Reply:
        """Tell apart what passes, what only this request suffers from, and what ends the run."""
        status, said = error.status_code, _first_line(error.message)
        if status in REFUSED_FOR_GOOD:
            return Reply("", REFUSED, 0, 0, failure=f"{status}: {said}")
        if status in (401, 403):
            raise UserError(
                f"{self.config.url} refused the key ({status}: {said})",
                "a key that may use this model",
                "Put it into a file and name that (key-file), or set OPENAI_API_KEY.",
            ) from None
        if status == 404:
            raise UserError(
                f"{self.config.url} knows no model '{self.config.model}' or no such address ({said})",
                "an address that ends where /chat/completions follows, and a model that it serves",
                "Ask it for its models: GET /models.",
            ) from None
        if error.code == NO_CREDIT:
            raise UserError(
                f"the account at {self.config.url} has no credit left ({said})",
                "an account that can pay",
                "Add credit and run the same command again: what is paid is kept and not asked again.",
            ) from None
        raise _Passing(f"{status}: {said}", charged=False, wait_at_least=_retry_after(error)) from None

    def _read(self, found: Any, request: Request) -> Reply:
        """Take a reply apart; one without a message is half a reply."""
        if not found.choices or found.choices[0].message is None:
            raise _Passing("half a reply (no message in it)", charged=True)
        choice, usage = found.choices[0], found.usage
        text = choice.message.content or ""
        spent_in = usage.prompt_tokens if usage else _most_tokens(request)
        spent_out = usage.completion_tokens if usage else len(text.encode())
        finish, model = choice.finish_reason or "stop", found.model or self.config.model
        return Reply(text, finish, spent_in, spent_out, self.config.cost(spent_in, spent_out), model)

    def _most(self, request: Request) -> float:
        return self.config.cost(_most_tokens(request), request.max_tokens)


def _most_tokens(request: Request) -> int:
    """Bound the tokens of a prompt from above: no byte-level tokenizer makes more tokens than there are bytes."""
    texts = [text for text in (request.system, *request.turns) if text]
    return sum(len(text.encode(errors="replace")) + TOKENS_AROUND_A_MESSAGE for text in texts)


def _messages(request: Request) -> Any:
    system = [{"role": "system", "content": request.system}] if request.system else []
    roles = ("user", "assistant")
    return system + [
        {"role": roles[turn % 2], "content": without_surrogates(text)} for turn, text in enumerate(request.turns)
    ]


def _client(config: Endpoint) -> Any:
    """Make the client; it retries nothing itself, since each attempt is recorded and has a price."""
    try:
        import openai
        import tenacity  # noqa: F401
    except ImportError:
        raise UserError(
            "the packages openai and tenacity are not installed",
            "them, to ask an endpoint",
            "Install them: pip install 'xgen[eval]'.",
        ) from None
    key = None
    if config.key_file != config.key_file.parent:
        try:
            key = config.key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"no key can be read from {config.key_file} ({error})", "a file with a key", "") from None
    try:
        return openai.OpenAI(api_key=key, base_url=config.url, timeout=config.timeout, max_retries=0)
    except openai.OpenAIError:
        return openai.OpenAI(api_key="none", base_url=config.url, timeout=config.timeout, max_retries=0)


def _retry_after(error: Any) -> float:
    """Read the server's wish in seconds; a date, or nothing, is no number and leaves it to the doubling."""
    try:
        return min(float(error.response.headers.get("retry-after", "0")), LONGEST_WAIT)
    except ValueError:
        return 0.0


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "no reason given"
