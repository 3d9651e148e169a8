"""URLs of the pages."""

from django.urls import path

from webapp.pages import accounts, data_export, songs, tokens, webhooks

urlpatterns = [
    path("", songs.home, name="home"),
    path("jobs/<uuid:pk>/", songs.job, name="job"),
    path("help/", songs.help_page, name="help"),
    path("accounts/", accounts.account, name="account"),
    path("accounts/signup/", accounts.SignUpView.as_view(), name="signup"),
    path("accounts/login/", accounts.LoginView.as_view(), name="login"),
    path("accounts/logout/", accounts.LogoutView.as_view(), name="logout"),
    path("accounts/email/", accounts.EmailView.as_view(), name="email"),
    path("accounts/password/", accounts.PasswordView.as_view(), name="password"),
    path("accounts/password/forgotten/", accounts.ForgottenPasswordView.as_view(), name="password-forgotten"),
    path("accounts/password/<uidb64>/<token>/", accounts.ResetPasswordView.as_view(), name="password-reset"),
    path("accounts/data/", data_export.data_export, name="data-export"),
    path("accounts/delete/", accounts.DeleteAccountView.as_view(), name="delete-account"),
    path("accounts/tokens/", tokens.CreateTokenView.as_view(), name="tokens"),
    path("accounts/tokens/<uuid:pk>/revoke/", tokens.RevokeTokenView.as_view(), name="revoke-token"),
    path("accounts/webhooks/", webhooks.CreateWebhookView.as_view(), name="webhooks"),
    path("accounts/webhooks/<uuid:pk>/", webhooks.WebhookView.as_view(), name="webhook"),
    path(
        "accounts/webhooks/<uuid:pk>/deliveries/<uuid:delivery>/redeliver/",
        webhooks.RedeliverView.as_view(),
        name="webhook-redeliver",
    ),
]
