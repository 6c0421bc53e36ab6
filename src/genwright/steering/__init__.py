"""What shapes one draw while it is made: grammars, schemas, machines of one's own."""
