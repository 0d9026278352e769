"""The loop: ingress, fold, commit, dispatch; recovery; timers. Joins the neighbours."""
