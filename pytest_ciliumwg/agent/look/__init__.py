"""A node as its kernel tells it by rtnetlink, without any program: devices, rules, routes and tc filters."""
