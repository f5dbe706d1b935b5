from django.urls import path

from orders import problems, views

urlpatterns = [
    path("orders", views.Orders.as_view()),
    path("orders/<uuid:order_id>", views.OneOrder.as_view(), name="order"),
    path("orders/<uuid:order_id>/cancel", views.Cancellation.as_view()),
    path("healthz", views.Health.as_view()),
]

handler404 = problems.on_unknown_path
handler500 = problems.on_crash
