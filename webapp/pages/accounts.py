"""Pages of an account: sign up, log in and out, e-mail address, password."""

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
from webapp.pages.forms import ConfirmForm, EmailForm, ForgottenForm, SignUpForm
from webapp.pages.guessing import know

FORM = "webapp/form.html"  # a card with a title, a sentence, a form and a button
SENT = "If an account has that address, a link is on its way to it. It works for {hours} hours."
LOGGED = (
    "This site sends no e-mail. If an account has that address, its link is now in the log of the server: ask whoever "
    "runs this site for it. It works for {hours} hours."
)
GONE = "Your account is deleted, with everything in it."
CHANGED = "Your password is changed."


@method_decorator(per_address("login", "100/hour", "Too many log-ins"), name="post")
class Login(auth.LoginView):
    """Log in; what one did as a guest before comes along."""

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """The guest is noted before the login replaces it in the session."""
        guest, member = guest_of(self.request), form.get_user()
        response = super().form_valid(form)
        if guest and guest.pk != member.pk:
            adopt(guest, member)
        know(response, member.get_username())
        return response


class Logout(auth.LogoutView):
    """Log out, and end what a guest is known by."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The next visitor is another guest."""
        forget_guest(request)
        return super().post(request, *args, **kwargs)


@method_decorator(per_address("signup", "30/hour", "Too many new accounts"), name="post")
class SignUp(CreateView[User, SignUpForm]):
    """Make an account; a guest's own becomes it, with its jobs."""

    form_class = SignUpForm
    template_name = "webapp/signup.html"
    success_url = reverse_lazy("home")
    initial = {"username": ""}  # not a guest's made-up name

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Members have an account already."""
        if request.user.is_authenticated and not guest_of(request):
            return redirect("home")
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        """Fill in the guest's row rather than a new one."""
        return super().get_form_kwargs() | {"instance": guest_of(self.request)}

    def form_valid(self, form: SignUpForm) -> HttpResponse:
        """Log in: the session gets a new key, so that one known from before is worth nothing."""
        response = super().form_valid(form)
        login(self.request, form.instance, backend=BACKEND)
        know(response, form.instance.get_username())
        return response


@require_safe
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """All that belongs to an account, and the way to change it."""
    user = cast(User, request.user)
    uses = {"quota": quotas.quota_of(user), "usage": quotas.used_by(user)}
    return render(request, "webapp/account.html", uses | {"guest_days": settings.GUEST_DAYS})


def members_only(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """For what guests cannot use, who have neither password nor address: visitors log in, guests sign up."""

    @login_required
    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return redirect("signup") if guest_of(request) else view(request, *args, **kwargs)

    return page


@method_decorator(members_only, name="dispatch")
class Email(SuccessMessageMixin[EmailForm], FormView[EmailForm]):
    """Change the address for a forgotten password."""

    form_class = EmailForm
    template_name = FORM
    success_url = reverse_lazy("account")
    success_message = "Your e-mail address is changed."
    extra_context = {"title": "E-mail address", "button": "Save"}

    def get_initial(self) -> dict[str, Any]:
        """What it is now."""
        return {"email": getattr(self.request.user, "email", "")}

    def get_form_kwargs(self) -> dict[str, Any]:
        """Whose it is."""
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: EmailForm) -> HttpResponse:
        """Keep it."""
        form.save()
        return super().form_valid(form)


@method_decorator(members_only, name="dispatch")
class Password(SuccessMessageMixin[Any], auth.PasswordChangeView):
    """Change the password. Other browsers are logged out by that."""

    template_name = FORM
    success_url = reverse_lazy("account")
    success_message = CHANGED
    extra_context = {"title": "Change your password", "button": "Change it"}


@method_decorator(per_address("link", "10/hour", "Too many links"), name="post")
class Forgotten(SuccessMessageMixin[Any], auth.PasswordResetView):
    """Send a link to whoever forgot the password. The answer is the same whether there is such an account or not."""

    form_class = ForgottenForm
    template_name = FORM
    subject_template_name = "webapp/password_subject.txt"
    email_template_name = "webapp/password_mail.txt"
    success_url = reverse_lazy("login")
    extra_context = {"title": "Forgot your password?"}

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        """Says where the link goes."""
        if _mail_is_logged():
            intro = (
                "This site sends no e-mail. Type the e-mail address of your account, then ask whoever runs this site "
                "for the link to choose another password: the log of the server will have it."
            )
            return super().get_context_data(intro=intro, button="Make the link", **more)
        intro = "Type the e-mail address of your account. You get a link to choose another password."
        return super().get_context_data(intro=intro, button="Send the link", **more)

    def get_success_message(self, _: dict[str, str]) -> str:
        """How long the link lives."""
        return (LOGGED if _mail_is_logged() else SENT).format(hours=settings.PASSWORD_RESET_TIMEOUT // 3600)


def _mail_is_logged() -> bool:
    """Whether nobody has set up a mail server, so that what would be sent is printed where the site was started."""
    return str(settings.EMAIL_BACKEND) == "django.core.mail.backends.console.EmailBackend"


class Reset(SuccessMessageMixin[Any], auth.PasswordResetConfirmView):
    """Choose another password, by the link."""

    template_name = FORM
    success_url = reverse_lazy("login")
    success_message = f"{CHANGED} Log in with the new one."
    extra_context = {"title": "Choose another password", "button": "Change it"}

    def form_valid(self, form: Any) -> HttpResponse:
        """Whoever reads the member's mail is the member."""
        response = super().form_valid(form)
        know(response, form.user.get_username())
        return response


@method_decorator(login_required, name="dispatch")
class DeleteAccount(FormView[ConfirmForm]):
    """Delete the account and everything in it."""

    form_class = ConfirmForm
    template_name = FORM
    success_url = reverse_lazy("home")
    extra_context = {
        "title": "Delete your account",
        "intro": "With it go all your songs, their stems and your tokens, at once and for good. "
        "You may want to download your data before.",
        "button": "Delete everything",
        "danger": True,
    }

    def get_form_kwargs(self) -> dict[str, Any]:
        """Whose it is."""
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: ConfirmForm) -> HttpResponse:
        """Log out, for there is nobody any more."""
        logout(self.request)
        forget_guest(self.request)
        retention.delete_account(form.user)
        messages.success(self.request, GONE)
        return super().form_valid(form)
