"""The main job as a synthetic transaction: from application to settled job, through the services."""
