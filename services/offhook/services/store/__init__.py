"""Records of calls in SQLite or PostgreSQL."""

from offhook.services.store.agents import StoredAgents, open_stored_agents
from offhook.services.store.analyses import StoreAnalyses, want_analyses
from offhook.services.store.cleaning import clean
from offhook.services.store.engine import BadStoreUrl, read_store_url, store_file
from offhook.services.store.keys import Keys, open_keys
from offhook.services.store.outbox import StoreOutbox, tell_webhooks
from offhook.services.store.records import StoreErasures, StoreRecords
from offhook.services.store.replies import Replies, Reply, open_replies
from offhook.services.store.schema import SchemaTooNew
from offhook.services.store.store import Store, open_store
from offhook.services.store.webhooks import Webhooks
from offhook.services.store.widgets import Widgets, open_widgets

__all__ = [
    "BadStoreUrl",
    "Keys",
    "Replies",
    "Reply",
    "SchemaTooNew",
    "Store",
    "StoreAnalyses",
    "StoreErasures",
    "StoreOutbox",
    "StoreRecords",
    "StoredAgents",
    "Webhooks",
    "Widgets",
    "clean",
    "open_keys",
    "open_replies",
    "open_store",
    "open_stored_agents",
    "open_widgets",
    "read_store_url",
    "store_file",
    "tell_webhooks",
    "want_analyses",
]
