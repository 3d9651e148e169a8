"""Addresses of the pages."""

from django.urls import path

from webapp.pages import accounts, data_export, songs, tokens, webhooks

urlpatterns = [
    path("", songs.home, name="home"),
    path("jobs/<uuid:pk>/", songs.job, name="job"),
    path("help/", songs.help_page, name="help"),
    path("accounts/", accounts.account, name="account"),
    path("accounts/signup/", accounts.SignUp.as_view(), name="signup"),
    path("accounts/login/", accounts.Login.as_view(), name="login"),
    path("accounts/logout/", accounts.Logout.as_view(), name="logout"),
    path("accounts/email/", accounts.Email.as_view(), name="email"),
    path("accounts/password/", accounts.Password.as_view(), name="password"),
    path("accounts/password/forgotten/", accounts.Forgotten.as_view(), name="password-forgotten"),
    path("accounts/password/<uidb64>/<token>/", accounts.Reset.as_view(), name="password-reset"),
    path("accounts/data/", data_export.data_export, name="takeout"),
    path("accounts/delete/", accounts.DeleteAccount.as_view(), name="farewell"),
    path("accounts/tokens/", tokens.MakeToken.as_view(), name="tokens"),
    path("accounts/tokens/<uuid:pk>/revoke/", tokens.RevokeToken.as_view(), name="revoke-token"),
    path("accounts/webhooks/", webhooks.MakeWebhook.as_view(), name="webhooks"),
    path("accounts/webhooks/<uuid:pk>/", webhooks.OneWebhook.as_view(), name="webhook"),
    path(
        "accounts/webhooks/<uuid:pk>/deliveries/<uuid:delivery>/redeliver/",
        webhooks.Redeliver.as_view(),
        name="webhook-redeliver",
    ),
]
