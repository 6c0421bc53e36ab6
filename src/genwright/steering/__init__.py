"""What shapes one draw while it is made."""
