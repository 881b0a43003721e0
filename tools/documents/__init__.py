"""What commands write into the documents: tables between two marks, and pictures."""
