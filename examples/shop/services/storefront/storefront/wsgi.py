"""What a server imports: `storefront.wsgi:app`."""

from storefront.app import create_app

app = create_app()
