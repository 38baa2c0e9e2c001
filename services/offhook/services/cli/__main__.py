"""``python -m offhook.services.cli``: how ``offhook up`` starts each role."""

from offhook.services.cli import main

if __name__ == "__main__":
    main()
