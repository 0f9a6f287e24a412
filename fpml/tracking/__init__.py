"""Runs and models in MLflow: logged, registered, promoted, watched for drift."""
