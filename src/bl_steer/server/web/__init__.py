"""The web application: pages, forms, authorization, the REST interface."""
