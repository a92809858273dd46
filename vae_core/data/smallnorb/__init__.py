"""SmallNORB."""
