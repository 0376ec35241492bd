"""Invented entries, to work on pages without training or evaluating anything. Nothing else imports this."""
