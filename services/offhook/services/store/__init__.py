"""Records of calls in SQLite or PostgreSQL."""

from offhook.services.store.cleaning import clean
from offhook.services.store.engine import BadStoreUrl, read_store_url, store_file
from offhook.services.store.keys import Keys, open_keys
from offhook.services.store.records import StoreErasures, StoreRecords
from offhook.services.store.replies import Replies, Reply, open_replies
from offhook.services.store.schema import SchemaTooNew
from offhook.services.store.store import Store, open_store

__all__ = [
    "BadStoreUrl",
    "Keys",
    "Replies",
    "Reply",
    "SchemaTooNew",
    "Store",
    "StoreErasures",
    "StoreRecords",
    "clean",
    "open_keys",
    "open_replies",
    "open_store",
    "read_store_url",
    "store_file",
]
