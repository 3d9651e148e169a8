"""Pages of accounts: sign-up, login, logout, e-mail address, password, deletion."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.messages.views import SuccessMessageMixin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe
from django.views.generic import CreateView, FormView

from webapp.accounts import quotas, retention
from webapp.accounts.guests import adopt
from webapp.api.throttling import per_address
from webapp.http.guests import BACKEND, forget_guest, guest_of
from webapp.models import User
from webapp.pages.forms import ConfirmForm, EmailForm, ForgottenPasswordForm, SignUpForm
from webapp.pages.guessing import know

FORM = "webapp/form.html"  # a card with a title, an introduction, a form and a button
LINK_SENT = "If an account has that address, a link is on its way to it. It works for {hours} hours."
LINK_LOGGED = (
    "This site sends no e-mail. If an account has that address, its link is now in the log of the server: ask whoever "
    "runs this site for it. It works for {hours} hours."
)
DELETED = "Your account and everything in it have been deleted."
PASSWORD_CHANGED = "Your password has been changed."


@method_decorator(per_address("login", "100/hour", "Too many logins"), name="post")
class LoginView(auth.LoginView):
    """Log in, and adopt the songs of the guest that the visitor was before."""

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Remember the guest before the login replaces it in the session."""
        guest, member = guest_of(self.request), form.get_user()
        response = super().form_valid(form)
        if guest and guest.pk != member.pk:
            adopt(guest, member)
        know(response, member.get_username())
        return response


class LogoutView(auth.LogoutView):
    """Log out, and forget the guest."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        forget_guest(request)
        return super().post(request, *args, **kwargs)


@method_decorator(per_address("signup", "30/hour", "Too many new accounts"), name="post")
class SignUpView(CreateView[User, SignUpForm]):
    """Create an account, or turn that of a guest, with its songs, into a member's."""

    form_class = SignUpForm
    template_name = "webapp/signup.html"
    success_url = reverse_lazy("home")
    initial = {"username": ""}  # not the generated name of a guest

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated and not guest_of(request):
            return redirect("home")
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        """Update the row of the guest, if there is one, instead of creating another."""
        return super().get_form_kwargs() | {"instance": guest_of(self.request)}

    def form_valid(self, form: SignUpForm) -> HttpResponse:
        """Log in, which also replaces the key of the session, so that a stolen one becomes useless."""
        response = super().form_valid(form)
        login(self.request, form.instance, backend=BACKEND)
        know(response, form.instance.get_username())
        return response


@require_safe
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """Everything about an account, with links to change it."""
    user = cast(User, request.user)
    amounts = {"quota": quotas.quota_of(user), "usage": quotas.used_by(user)}
    return render(request, "webapp/account.html", amounts | {"guest_days": settings.GUEST_DAYS})


def members_only(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorator for pages that need a password or an address: visitors log in first, and guests sign up."""

    @login_required
    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return redirect("signup") if guest_of(request) else view(request, *args, **kwargs)

    return page


@method_decorator(members_only, name="dispatch")
class EmailView(SuccessMessageMixin[EmailForm], FormView[EmailForm]):
    """Change the e-mail address."""

    form_class = EmailForm
    template_name = FORM
    success_url = reverse_lazy("account")
    success_message = "Your e-mail address has been changed."
    extra_context = {"title": "E-mail address", "button": "Save"}

    def get_initial(self) -> dict[str, Any]:
        return {"email": getattr(self.request.user, "email", "")}

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: EmailForm) -> HttpResponse:
        form.save()
        return super().form_valid(form)


@method_decorator(members_only, name="dispatch")
class PasswordView(SuccessMessageMixin[Any], auth.PasswordChangeView):
    """Change the password, which logs out all other browsers."""

    template_name = FORM
    success_url = reverse_lazy("account")
    success_message = PASSWORD_CHANGED
    extra_context = {"title": "Change your password", "button": "Change password"}


@method_decorator(per_address("link", "10/hour", "Too many links"), name="post")
class ForgottenPasswordView(SuccessMessageMixin[Any], auth.PasswordResetView):
    """Send a link to reset the password. The response does not reveal whether an account with the address exists."""

    form_class = ForgottenPasswordForm
    template_name = FORM
    subject_template_name = "webapp/password_subject.txt"
    email_template_name = "webapp/password_mail.txt"
    success_url = reverse_lazy("login")
    extra_context = {"title": "Forgot your password?"}

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        if _mail_is_logged():
            intro = (
                "This site sends no e-mail. Enter the e-mail address of your account, then ask whoever runs this site "
                "for the link to choose a new password: it will be in the log of the server."
            )
            return super().get_context_data(intro=intro, button="Create link", **more)
        intro = "Enter the e-mail address of your account. You get a link to choose a new password."
        return super().get_context_data(intro=intro, button="Send link", **more)

    def get_success_message(self, _: dict[str, str]) -> str:
        return (LINK_LOGGED if _mail_is_logged() else LINK_SENT).format(hours=settings.PASSWORD_RESET_TIMEOUT // 3600)


def _mail_is_logged() -> bool:
    """Whether no mail server is configured, so that e-mails are printed to the log of the server."""
    return str(settings.EMAIL_BACKEND) == "django.core.mail.backends.console.EmailBackend"


class ResetPasswordView(SuccessMessageMixin[Any], auth.PasswordResetConfirmView):
    """Choose a new password with the link from the e-mail."""

    template_name = FORM
    success_url = reverse_lazy("login")
    success_message = f"{PASSWORD_CHANGED} Log in with the new one."
    extra_context = {"title": "Choose a new password", "button": "Change password"}

    def form_valid(self, form: Any) -> HttpResponse:
        """Trust the browser from now on: whoever reads the member's e-mail is the member."""
        response = super().form_valid(form)
        know(response, form.user.get_username())
        return response


@method_decorator(login_required, name="dispatch")
class DeleteAccountView(FormView[ConfirmForm]):
    """Delete the account and everything in it."""

    form_class = ConfirmForm
    template_name = FORM
    success_url = reverse_lazy("home")
    extra_context = {
        "title": "Delete your account",
        "intro": "This deletes all your songs, their stems and your tokens, immediately and permanently. "
        "You may want to download your data first.",
        "button": "Delete everything",
        "danger": True,
    }

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: ConfirmForm) -> HttpResponse:
        logout(self.request)
        forget_guest(self.request)
        retention.delete_account(form.user)
        messages.success(self.request, DELETED)
        return super().form_valid(form)
