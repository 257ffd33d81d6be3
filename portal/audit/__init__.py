"""Who did what, when and why: the event browser over database-kept history."""
