"""What a user's array becomes, and the base class of every calibrator."""
