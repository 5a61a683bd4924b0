"""Trust stores and how certificate chains stand against them; signs of interception in a certificate."""
