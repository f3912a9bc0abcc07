"""No secret of an address is shown, however it is written."""

from pathlib import Path
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmsaes.addresses import (
    check_without_keys,
    local_path,
    shown_address,
    shown_text,
    without_secrets,
)
from lmsaes.errors import ConfigError

# parts that are told apart from everything else, with signs between that may need an escape
_SIGNS = "@:/?#%&=+,;[]{}!$*~ '\"\\éß"
secrets = st.builds(
    lambda parts, signs: "".join(a + b for a, b in zip(parts, (*signs, ""), strict=False)),
    st.just(("S3CRETa", "S3CRETb", "S3CRETc")),
    st.tuples(st.sampled_from(_SIGNS), st.sampled_from(_SIGNS)),
)
written = secrets.flatmap(lambda s: st.sampled_from([s, quote_plus(s)]))
mongo = st.builds(
    "{}://{}:{}@{}{}".format,
    st.sampled_from(["mongodb", "mongodb+srv", "MONGODB", "http", "https"]),
    st.sampled_from(["me", "", "S3CRETu"]) | written,
    written,
    st.sampled_from(["host", "host:27017", "a:1,b:2", "[::1]:5", "10.0.0.1"]),
    st.sampled_from(["", "/", "/features", "/features?authSource=admin"]),
)
options = st.builds(
    "mongodb://host/features?{}={}".format,
    st.sampled_from(["authMechanismProperties", "tlsCertificateKeyFilePassword", "x"]),
    st.builds("AWS_SESSION_TOKEN:{}".format, written) | written,
)
stores = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["s3", "gs", "az", "abfs", "https"]),
    st.builds("KEY:{}@bucket/prefix".format, written)
    | st.builds("bucket/prefix?X-Amz-Signature={}".format, written)
    | st.builds("account/container?sv=2024&sig={}#x".format, written),
    st.just(""),
)


@given(mongo | options | stores)
def test_nothing_secret_is_shown(address: str):
    assert "S3CRET" not in shown_address(address)
    with pytest.raises(ValueError, match="leave them out") as raised:
        check_without_keys(address, "give them elsewhere")
    assert "S3CRET" not in str(raised.value)
    assert "S3CRET" not in without_secrets(f"can't read {address}", address, "can't read it")
    if not any(sign in address for sign in " '\""):
        assert "S3CRET" not in shown_text(f"can't open '{address}'.")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("mongodb://host/features", "mongodb://host/features"),
        ("mongodb://me:pw@a:1,b:2/features?x=y", "mongodb://a:1,b:2/features"),
        ("mongodb://me:p/w@host/x", "mongodb://host/x"),
        ("mongodb://me:p?w@host/x", "mongodb://…"),
        ("mongodb://me:pw", "mongodb://…"),
        ("me:pw@host", "…"),
        ("localhost:27017", "localhost:27017"),
        ("s3://bucket/runs@2024/x", "s3://bucket/runs@2024/x"),
        ("s3://KEY:SE/CRET@bucket/x", "s3://bucket/x"),
        ("abfs://container@account.dfs.core.windows.net/x",
         "abfs://container@account.dfs.core.windows.net/x"),
        ("https://host/data.jsonl?sig=x#y", "https://host/data.jsonl"),
        ("hf://datasets/owner/name@main/x", "hf://datasets/owner/name@main/x"),
        ("runs/a@b", "…"),
    ],
)  # fmt: skip
def test_an_address_keeps_what_is_not_secret(address: str, shown: str):
    assert shown_address(address) == shown


@pytest.mark.parametrize(
    "plain", ["runs/a@b?c", "s3://bucket/a@b", "gpt2", "/data/x", "hf://a/b@main/*.parquet",
              "abfs://container@account.dfs.core.windows.net/x", "http://127.0.0.1:9000/bucket"]
)  # fmt: skip
def test_addresses_without_keys_are_taken(plain: str):
    assert check_without_keys(plain, "") == plain


@pytest.mark.parametrize(
    "address",
    ["s3://bucket/run", "s3:/bucket/run", "S3://bucket/x", "gs://b/x", "hf://owner/name",
     "abfss:/c@account/x", "https://host/x", "mongodb+srv:/host/x", "other+kind://x"],
)  # fmt: skip
@pytest.mark.parametrize("kind", [str, Path])
def test_an_address_is_no_path_of_this_machine(address: str, kind: type):
    if address == "other+kind://x" and kind is Path:
        return  # what is left of it could be a folder's name
    with pytest.raises(ConfigError, match="is an address, and only a cache"):
        local_path(kind(address))


@pytest.mark.parametrize("path", ["runs/a", "C:/x", "./s3:/x", "a b://c", "x:y/z", "2s3://x"])
def test_other_names_are_paths(path: str):
    assert local_path(path) == Path(path)


def test_other_peoples_texts_keep_everything_else():
    said = "see (https://host/a?token=x), 'mongodb://me:pw@host/db': it failed. 5 < 6@7"
    assert shown_text(said) == "see (https://host/a), 'mongodb://host/db': it failed. 5 < 6@7"
