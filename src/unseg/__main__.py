"""``python -m unseg``, which ``accelerate launch -m`` needs."""

from unseg.cli.main import main

main()
