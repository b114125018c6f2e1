"""Facts about AWS that do not depend on an account: zones, types, images, prices."""
