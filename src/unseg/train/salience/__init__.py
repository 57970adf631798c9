"""Training of the salience head: cut-outs pasted into scenes, features of a frozen encoder."""
