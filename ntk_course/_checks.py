"""The only place where errors are worded: `name` must <rule>; got name=<value>. <Fix>."""
def one_of(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, allowed))}; got {name}={value!r}.")
