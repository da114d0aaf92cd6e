"""What bends uvicorn and Starlette to what the service needs."""
