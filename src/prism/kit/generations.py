"""Which request of a row was fulfilled: each request has the next `generation`."""


class Generations:
    """The last request of a row, and how far a reconciler has come with it."""

    __slots__ = ()
    generation: int
    observed_generation: int  # the last one that was fulfilled or given up

    @property
    def is_done(self) -> bool:
        """Whether the last request was fulfilled or given up."""
        return self.observed_generation == self.generation


class Attempts(Generations):
    """The last request of a row, how far a reconciler has come, and whether it was tried."""

    __slots__ = ()
    attempted_generation: int  # the last one tried, if a failure or a repeat depends on it

    @property
    def is_attempted(self) -> bool:
        """Whether the last request was tried, if a failure or a repeat depends on that."""
        return self.attempted_generation == self.generation
