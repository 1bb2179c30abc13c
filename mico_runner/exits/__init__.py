"""Networks that end early: where they can, the heads that answer there, and the exact choice of exits, margins and clocks."""
